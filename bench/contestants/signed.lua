-- wrk: signed deliveries in turn, from a file of lines `<signature> <body>`; what came of them, as one line of JSON.
local prepared, turn = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local signature, body = line:match("^(%x+) (.*)$")
    local headers = { ["content-type"] = "application/json", ["x-signature"] = signature }
    prepared[#prepared + 1] = wrk.format("POST", args[2], headers, body)
  end
end

function request()
  turn = turn % #prepared + 1
  return prepared[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"answers": %d, "refused": %d, "broken": %d, "seconds": %f, "p50": %f, "p99": %f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
