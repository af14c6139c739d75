#!/usr/bin/env bash
# Builds demo/wordcount and compares its output, byte for byte, with the counts of coreutils for the same files: a copy
# of the source tree, and a tree made to be difficult. Ends with `N passed, N failed`. Environment: GMX_LIB another
# libgomax.so than target/release's, CC, WORDCOUNT a program that is built already.
. "$(dirname "$0")/../ci/lib.sh"
set -e
root=$PWD
export LC_ALL=C

lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
[[ -e $lib || -n ${WORDCOUNT:-} ]] || "${MAKE:-make}" --no-print-directory -s build
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT

# ---- the program ----

if [[ -n ${WORDCOUNT:-} ]]; then
  wordcount=$(realpath "$WORDCOUNT")
else
  mkdir "$work/lib"
  ln -s "$lib" "$work/lib/libgomax.so"
  ln -s "$lib" "$work/lib/libgomax.so.0"
  wordcount=$work/wordcount
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pedantic -Iinclude -o "$wordcount" demo/wordcount.c \
    -pthread -L"$work/lib" -lgomax -Wl,-rpath,"$work/lib"
fi

# ---- what coreutils say: the table in $2, the totals in $3 ----

expect() {
  local file files=0 bytes=0 binary=0
  while IFS= read -r -d '' file; do
    if (($(head -c 8192 <"$file" | tr -cd '\0' | wc -c))); then
      binary=$((binary + 1))
    else
      files=$((files + 1)) bytes=$((bytes + $(wc -c <"$file")))
      cat <"$file"
      echo # a word ends with its file
    fi
  done < <(find "$1" -mindepth 1 \( -name .git -o -name target \) -prune -o -type f -print0) >"$work/text"
  tr -cs A-Za-z '\n' <"$work/text" | tr A-Z a-z | sed '/^$/d' | sort | uniq -c |
    sed -E 's/^ *([0-9]+) /\1\t/' | sort -k 1,1nr -k 2,2 >"$2"
  local words
  words=$(tr -cs A-Za-z '\n' <"$work/text" | sed '/^$/d' | wc -l)
  echo "files $files, bytes $bytes, words $words, distinct $(wc -l <"$2"), binary $binary," >"$3"
}

# run STATUS ARGUMENT...: counts into $work/table, and holds the program to its exit status
run() {
  local want=$1 status=0
  shift
  rm -f "$work/table"
  "${as[@]}" timeout -k 5 120 "$wordcount" --table "$work/table" "$@" >"$work/out" 2>"$work/err" || status=$?
  ((status == want)) && return
  echo "exit status $status, not $want"
  cat "$work/err"
  return 1
}
as=()

same_table() { run 0 "$@" && diff "$expected" "$work/table"; }
same_totals() { grep -F "$(cat "$totals")" "$work/out" || { cat "$totals" "$work/out"; return 1; }; }
same_top() { head -n 10 "$expected" | diff - <(grep -P '^[0-9]+\t' "$work/out"); }

# ---- the source tree: a copy, since files may change meanwhile ----

mkdir "$work/source"
tar -c --exclude=./target --exclude=./.git --exclude=./build . | tar -x -C "$work/source"
expected=$work/source.table totals=$work/source.totals
expect "$work/source" "$expected" "$totals"
check "source tree" same_table "$work/source"
check "source tree, totals" same_totals
check "source tree, the words on top" same_top
check "source tree, one P" same_table --procs 1 "$work/source"

# ---- a difficult tree ----

tree=$work/tree
mkdir "$tree"
filled() { head -c "$1" /dev/zero | tr '\0' "$2"; }
words() { # N words, always the same ones, some of them often
  awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { w = ""
    for (k = 1 + int(rand() * rand() * 9); k > 0; k--) w = w sprintf("%c", (rand() < .2 ? 65 : 97) + int(rand() * rand() * 26))
    printf "%s%s", w, substr(" \n\t.,;-_0", 1 + int(rand() * 9), 1) } }'
}

mkdir "$tree/many"
for i in {1..300}; do words $((i * 3)) "$i" >"$tree/many/$i.txt"; done
words 100000 7 >"$tree/large"

deep=$tree/deep
for i in {1..60}; do
  deep=$deep/a-directory-with-a-long-name-$i
  mkdir -p "$deep"
  ((i % 10)) || words 50 "$i" >"$deep/file"
done

mkdir "$tree/edges" "$tree/empty-directory"
cd "$tree/edges"
: >empty
printf word >no-newline
printf 'Mixed MIXED mixed mIxEd' >cases
printf '   \n\t\n ' >spaces-only
printf '.,;:!?@[`{0123456789_\177' >no-letters
printf 'caf\303\251 na\357ve \200\377abc\240def' >high-bytes
printf 'dos\r\nlines\r\n' >crlf
awk 'BEGIN { for (i = 1; i < 256; i++) printf "%c%c", i, 256 - i }' >every-byte
filled 200000 x >long-word
{ filled 65536 Y; filled 65536 y; } >long-word-of-two-buffers
for size in 8192 65536 131072; do # a word that ends before, at and after every border
  for before in 6 5 4 1 0; do
    { filled $((size - before)) ' '; printf 'border and more'; } >"border-$size-$before"
  done
done
{ printf a; filled 8190 ' '; printf '\0b'; } >nul-at-8191 # binary
{ printf a; filled 8191 ' '; printf '\0b'; } >nul-at-8192 # still text
printf '\0' >nul
cp /bin/sh program

mkdir "$tree/names"
cd "$tree/names"
for name in 'a space' $'new\nline' $'\nx' $'tab\there' '-dash' '--table' '*' '$(echo)' "it's" 'quote"' $'\377\376' '...' .hidden target.txt; do
  printf 'name %s\n' "$name" >"./$name"
done
mkdir .git target x.git
echo hidden | tee .git/file target/file x.git/file >/dev/null
mkdir -p "$tree/sub/target/deeper"
echo hidden >"$tree/sub/target/deeper/file"
echo hidden >"$tree/edges/target"

mkdir "$tree/links"
cd "$tree/links"
ln -s . loop
ln -s ../large file
ln -s nowhere dangling
mkfifo pipe
cd "$root"

expected=$work/tree.table totals=$work/tree.totals
expect "$tree" "$expected" "$totals"
check "difficult tree" same_table "$tree"
check "difficult tree, totals" same_totals
check "difficult tree, the words on top" same_top
for procs in 1 2 7 64; do check "difficult tree, $procs Ps" same_table --procs "$procs" "$tree"; done
for buffer in 1 3 4096 1048576; do check "difficult tree, buffer $buffer" same_table --buffer "$buffer" --procs 3 "$tree"; done
# as above, with barriers all the while
check "with progress" same_table --buffer 1 --progress "$tree"
check "progress is shown" grep -qE '^[0-9]+ files, [0-9]+ words, [0-9.]+ MB, [0-9]+ Ps$' "$work/err"
check "no progress without a terminal" bash -c '"$1" "$2" 2>&1 >/dev/null | { ! grep .; }' - "$wordcount" "$tree"
same_in_place() { (cd "$tree" && run 0 && diff "$expected" "$work/table"); }
check "the directory is . by default" same_in_place
same_times() { for _ in {1..20}; do same_table "$tree/many" || return; done; }
expected=$work/many.table totals=$work/many.totals
expect "$tree/many" "$expected" "$totals"
check "twenty times the same" same_times

# ---- what cannot be read ----

mkdir "$tree/many/closed"
echo secret | tee "$tree/many/secret" >"$tree/many/closed/file"
chmod 0 "$tree/many/secret" "$tree/many/closed"
may_read_all=no
if ((EUID == 0)); then # root reads everything, unless this capability is taken from it
  as=(setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all)
  "${as[@]}" true 2>/dev/null || may_read_all=yes
fi
if [[ $may_read_all == no ]]; then
  unreadable() {
    run 1 "$@" && diff "$expected" "$work/table" && grep -F 'many/secret: Permission denied' "$work/err" &&
      grep -F 'many/closed: Permission denied' "$work/err" && grep -F ', unreadable 2' "$work/out"
  }
  check "what cannot be read is named and passed over" unreadable "$tree/many"
else
  echo "root, and no setpriv: files that cannot be read are not tested"
fi
as=()

# ---- options ----

expected=/dev/null
check "an empty directory" same_table "$tree/empty-directory"
check "no such directory" run 1 "$tree/nowhere"
check "a directory is a file" run 1 "$tree/large"
for wrong in "--procs 0" "--procs x" "--buffer 0" "--buffer 9999999" "--buffer 1x" "--top -1" "--no-such" "a b" "--procs"; do
  # shellcheck disable=SC2086
  check "wrong: $wrong" run 2 $wrong
done
check "a table that cannot be written" run 1 --table "$work" "$tree/empty-directory"
help_is_there() { "$wordcount" --help | grep -q '^usage: wordcount'; }
check "help" help_is_there

summary
