-- One request, read from files, sent over and over; the result is one line of JSON.
function init(arguments)
   for line in io.lines(arguments[1]) do
      local name, value = line:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
   local body = assert(io.open(arguments[2], "rb"))
   wrk.method, wrk.body = "POST", body:read("*a")
   body:close()
end

function done(summary, latency)
   local failed = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
