## linkcheck DIR: looks at every link in the Markdown files below DIR, and prints those to files that do not exist.
##
## A goroutine for each file reads it in `blocking`, a goroutine for each link looks whether it leads somewhere; both
## belong to one scope, so a file that cannot be read ends everything. What is found comes through a channel.
import std/[os, strutils, algorithm]
import gomax

type Finding = object
  file, link: string
  line: int
  broken: bool

proc links(text: string): seq[tuple[line: int, link: string]] =
  ## `[text](link)`, outside of fences.
  var fenced = false
  var number = 0
  for line in text.splitLines:
    inc number
    if line.startsWith("```"): fenced = not fenced
    if fenced: continue
    var at = line.find("](")
    while at >= 0:
      let last = line.find(')', at)
      if last < 0: break
      result.add (number, line[at + 2 ..< last])
      at = line.find("](", last)

proc look(file: string, line: int, link: string, found: Chan[Finding]) =
  let path = link.split('#')[0]
  var broken = false
  if path.len > 0 and "://" notin link and not link.startsWith("mailto:"):
    blocking: broken = not (fileExists(file.parentDir / path) or dirExists(file.parentDir / path))
  found.send Finding(file: file, link: link, line: line, broken: broken)

proc main(dir: string): int =
  let found = newChan[Finding](64)
  var all: seq[Finding]
  proc collect(found: Chan[Finding]): seq[Finding] =
    for f in found: result.add f
  var collector = go collect(found)
  withScope(60.sec):
    for file in walkDirRec(dir):
      if not file.endsWith(".md"): continue
      scope.spawn(file, found):
        var text: string
        blocking: text = readFile(file)
        withScope:
          for (line, link) in links(text): scope.spawn look(file, line, link, found)
  found.close()
  all = collector.join()
  all.sort(proc (a, b: Finding): int = cmp((a.file, a.line, a.link), (b.file, b.line, b.link)))
  for f in all:
    if f.broken:
      echo f.file, ":", f.line, ": ", f.link
      inc result
  echo all.len, " links, ", result, " broken"

let dir = if paramCount() > 0: paramStr(1) else: "."
quit(if runMain(main(dir)) == 0: 0 else: 1)
