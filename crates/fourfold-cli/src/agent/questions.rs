//! The questions that the user has to answer: who asks for what, and until when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::agent::asker::Asker;
use crate::agent::lifetime::Moment;
use crate::agent::protocol::Question;
use crate::error::{Error, Result};

/// The questions that wait for an answer, from the asker or a command. No answer means No.
#[derive(Default)]
pub(crate) struct Questions {
    open: Mutex<Vec<Open>>,
    next: AtomicU64,
}

struct Open {
    question: Question,
    until: Moment,
    answer: oneshot::Sender<bool>,
}

impl Questions {
    /// Puts a question, by the asker and to everybody who looks, and waits for the first answer.
    /// Dropped, it is taken back.
    pub(crate) async fn ask(&self, asker: &Asker, mut question: Question) -> bool {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        question.id = id;
        question.expires_in = TIMEOUT.as_secs();
        let (sender, answer) = oneshot::channel();
        let mut until = Moment::now();
        until.since_boot += TIMEOUT;
        let open = Open {
            question: question.clone(),
            until,
            answer: sender,
        };
        self.lock().push(open);
        let _taken_back = TakeBack {
            questions: self,
            id,
        };
        let first_answer = async {
            tokio::select! {
                // The user who answers with a command has seen the question too.
                Ok(allow) = answer => allow,
                allow = asker.ask(&question) => allow,
            }
        };
        // A machine that was suspended has waited longer than its timer knows.
        matches!(timeout(TIMEOUT, first_answer).await, Ok(true))
            && Moment::now().since_boot < until.since_boot
    }

    /// The questions that wait now.
    pub(crate) fn all(&self) -> Vec<Question> {
        let now = Moment::now().since_boot;
        let all = self.lock();
        let rest = |open: &Open| open.until.since_boot.saturating_sub(now).as_secs();
        all.iter()
            .map(|open| Question {
                expires_in: rest(open),
                ..open.question.clone()
            })
            .collect()
    }

    /// Answers a question.
    pub(crate) fn answer(&self, id: u64, allow: bool) -> Result<()> {
        let mut all = self.lock();
        let position = all.iter().position(|open| open.question.id == id);
        let open = position.map(|position| all.swap_remove(position));
        open.and_then(|open| open.answer.send(allow).ok())
            .ok_or_else(|| {
                Error::refused(format!("there is no question {id}"))
                    .hint("fourfold agent questions shows what waits for an answer")
            })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a question, however it ends.
struct TakeBack<'a> {
    questions: &'a Questions,
    id: u64,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.questions
            .lock()
            .retain(|open| open.question.id != self.id);
    }
}

/// The timeout of a question.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn question() -> Question {
        Question {
            id: 0,
            secrets: vec!["m.megolm_backup.v1".to_owned()],
            device_id: "PHONE".to_owned(),
            device_name: None,
            fingerprint: "abcd".to_owned(),
            first_seen: None,
            verified_by: "your identity".to_owned(),
            expires_in: 0,
        }
    }

    async fn asked(questions: &Arc<Questions>) -> tokio::task::JoinHandle<bool> {
        let before = questions.all().len();
        let asking = Arc::clone(questions);
        let task = tokio::spawn(async move { asking.ask(&Asker::Nobody, question()).await });
        while questions.all().len() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn a_command_answers_one_question_once() {
        let questions = Arc::new(Questions::default());
        let (first, second) = (asked(&questions).await, asked(&questions).await);
        let ids: Vec<_> = questions.all().iter().map(|question| question.id).collect();
        questions.answer(ids[0], true).unwrap();
        assert!(questions.answer(ids[0], true).is_err());
        assert!(first.await.unwrap());
        questions.answer(ids[1], false).unwrap();
        assert!(!second.await.unwrap());
        assert!(questions.all().is_empty());
        assert!(questions.answer(7, true).is_err());
    }

    // shows: AGT-07
    #[tokio::test(start_paused = true)]
    async fn no_answer_is_no() {
        let questions = Questions::default();
        assert!(!questions.ask(&Asker::Nobody, question()).await);
        assert!(questions.all().is_empty());
    }

    #[tokio::test]
    async fn a_question_that_is_taken_back_is_gone() {
        let questions = Arc::new(Questions::default());
        let task = asked(&questions).await;
        task.abort();
        assert!(task.await.is_err());
        assert!(questions.all().is_empty());
    }
}
