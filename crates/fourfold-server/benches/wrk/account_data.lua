-- Requests rotate over the devices in the file TOKENS. METHOD is GET, PUT, FIRST_SYNC, SYNC or
-- VERSIONS.
local requests = {}
local method = os.getenv("METHOD")
-- Each device writes a value of its own, so that every write changes something.
local content = string.format(
  '{"encrypted":{"%s":{"iv":"%s","ciphertext":"%s","mac":"%s"}}}',
  string.rep("K", 32), "%022d", string.rep("C", 86), string.rep("M", 43))

function init()
  for line in io.lines(os.getenv("TOKENS")) do
    local user, token, since = line:match("^(.-)\t(.-)\t(.*)$")
    local headers = { Authorization = "Bearer " .. token }
    local path = "/_matrix/client/v3/user/" .. user:gsub("@", "%%40"):gsub(":", "%%3A")
      .. "/account_data/m.cross_signing.master"
    if method == "PUT" then
      headers["Content-Type"] = "application/json"
      requests[#requests + 1] = wrk.format("PUT", path, headers, content:format(#requests))
    elseif method == "GET" then
      requests[#requests + 1] = wrk.format("GET", path, headers)
    elseif method == "FIRST_SYNC" then
      requests[#requests + 1] = wrk.format("GET", "/_matrix/client/v3/sync", headers)
    elseif method == "SYNC" then
      local sync = "/_matrix/client/v3/sync?timeout=0&since=" .. since
      requests[#requests + 1] = wrk.format("GET", sync, headers)
    else
      requests[#requests + 1] = wrk.format("GET", "/_matrix/client/versions")
    end
  end
end

local next_request = 0
function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("%-10s rps %8.0f  p50 %6.2f ms  p99 %6.2f ms  bad %d\n", method,
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
