version = "0.2.0"
author = "libgomax"
description = "Goroutines for Nim, on libgomax"
license = "MIT or Apache-2.0"
srcDir = "src"

requires "nim >= 1.6.0"

task test, "runs the tests":
  for mode in ["", "-d:release --mm:orc"]:
    exec "nim c -r --hints:off " & mode & " tests/test_gomax.nim"
