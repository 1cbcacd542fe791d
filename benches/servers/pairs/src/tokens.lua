-- Requests with the tokens of a file, one a line, round and round. They are put together once.
local requests = {}
local last = 0

function init(arguments)
  for token in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, {
      ["User-Agent"] = "client/1.0",
      ["Accept"] = "application/json",
      ["Authorization"] = "Bearer " .. token,
    })
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

-- What `load.rs` reads, on a line of its own.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
