## The tests that count values, for builds of their own: with a sanitizer, without checks, for long.
import gomax
import handing_over, model

shutdown 10.sec # nothing is left behind
