# Reads `objdump -d --no-show-raw-insn` of hogs.o. Fails unless each function hot_* calls gmx_poll_slow, and no loop
# holds the call: between the target of a branch backwards and the branch there is none, except on the way back from the
# cold block.
function number(hex,    n, i) {
  n = 0
  for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
  return n
}
function ends(    i, j, loops) {
  if (name == "") return
  functions++
  for (i = 1; i <= jumps; i++) {
    if (to[i] > from[i] || to[i] < first || cold[from[i]]) continue
    loops++
    for (j = 1; j <= calls; j++) {
      if (call[j] >= to[i] && call[j] <= from[i]) { print name ": a call in the loop from", to[i], "to", from[i]; bad = 1 }
    }
  }
  if (!calls) { print name ": no poll"; bad = 1 }
  if (!loops) { print name ": no loop"; bad = 1 }
}
/^[0-9a-f]+ <.*>:/ {
  ends()
  name = ""
  split($2, part, /[<>]/)
  if (part[2] ~ /^hot_/) name = part[2]
  first = number($1); sub(/^0+/, "", $1); first = number($1)
  jumps = calls = after = 0
  delete cold
  next
}
name == "" { next }
/^ *[0-9a-f]+:/ {
  at = $1; sub(/:/, "", at); at = number(at)
  # the way back from the cold block is no loop
  if (after) { if ($2 ~ /^(jmp|b)/) cold[at] = 1; after = 0 }
  if ($2 ~ /^(call|blr?$)/) { call[++calls] = at; after = 1 }
  else if ($2 ~ /^(j|b\.|cbn?z|tbn?z|b$)/) {
    target = $NF ~ />$/ ? $(NF - 1) : $NF
    sub(/.*,/, "", target)
    from[++jumps] = at; to[jumps] = number(target)
  }
}
END { ends(); if (functions < 3) { print "functions:", functions; bad = 1 } exit bad }
