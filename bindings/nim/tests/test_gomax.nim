## The tests of the module, by subject: from goroutines, from plain threads, and from threads that neither Nim nor the
## library made.
import gomax
import goroutines, channels, locks_and_counts, scopes_and_tokens, time_and_timers
import descriptors, files_and_processes, asyncdispatch_loop
import bodies, handing_over, host, model, wrong_calls

shutdown 10.sec # nothing is left behind
