#!/usr/bin/env bash
# Makes the site of the documents and the reference, and looks at it in a browser, if there is one (chromium): the
# search finds functions, and no page is wider than a phone. Sphinx takes a link that leads nowhere for an error.
#
#   ci/site.sh              makes it in a temporary directory, checks it, and ends with `N passed, N failed, N skipped`
#   ci/site.sh DIRECTORY    makes it there, and says where its first page is
#
# Sphinx and its theme come from PyPI into target/site, unless $GMX_SPHINX says where sphinx-build is.
source "$(dirname "$0")/lib.sh"
skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${1:-$work/html}
sphinx=${GMX_SPHINX:-$target/site/venv/bin/sphinx-build}

setup() {
  [[ -x $sphinx ]] || { "${PYTHON:-python3}" -m venv "$target/site/venv" &&
    "$target/site/venv/bin/pip" -q --disable-pip-version-check install 'sphinx>=7,<10' 'furo>=2024' 'myst-parser>=2'; }
}
make_site() {
  "${PYTHON:-python3}" packaging/manual/site.py . "$work/src" &&
    GOMAX_VERSION=$gomax_version "$sphinx" -q -W --keep-going -b html -c packaging/manual "$work/src" "$out"
}

if ! setup >"$work/said" 2>&1; then
  echo "Sphinx is not there, and pip does not find it"
  exit 77
fi
if (($#)); then
  make_site && echo "the site: $out/index.html"
  exit
fi

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || browser=
# the page as it is after its scripts have run
shown() { "$browser" --headless --no-sandbox --disable-gpu --virtual-time-budget=20000 --dump-dom "${@:2}" "$1" 2>/dev/null; }
finds() { shown "file://$out/search.html?q=$1" | grep -q "href=\"reference/$2.html"; }
# each page in a frame as wide as a phone; a page with a table may be scrolled in its table, and not as a whole
narrow() {
  cat >"$out/narrow.html" <<'HTML'
<iframe id="f" width="390" height="800"></iframe><pre id="wide"></pre><script>
const pages = PAGES, frame = document.getElementById("f"), wide = document.getElementById("wide");
let at = 0;
frame.onload = () => {
  const width = frame.contentDocument.documentElement.scrollWidth;
  if (width > 392) wide.textContent += `${pages[at]}: ${width}\n`;
  if (++at < pages.length) frame.src = pages[at]; else wide.textContent += "seen all";
};
frame.src = pages[0];
</script>
HTML
  local pages
  pages=$(cd "$out" && printf '"%s",' index.html README.html docs/{c,coming-from,functions,posix}.html reference/*.html)
  sed -i "s|PAGES|[$pages]|" "$out/narrow.html"
  shown "file://$out/narrow.html" --allow-file-access-from-files | sed -n '/<pre id="wide">/,/<\/pre>/p' >"$work/wide"
  rm "$out/narrow.html"
  grep -q '<pre id="wide">seen all</pre>' "$work/wide" || { grep -v '^const pages' "$work/wide"; return 1; }
}
examples() {
  local functions
  functions=$(grep -c '^\(GMX_MUST_USE \)\?GMX_API .*(' include/gomax.h)
  (($(cat "$out"/reference/*.html | grep -o '>Example<' | wc -l) >= functions))
}
no_network() { ! grep -rlE '(src|href)="(https?:)?//[^"]*\.(js|css|woff2?)"' "$out" --include='*.html' | head -3 | grep .; }

# the page of purposes leads to the reference of every function
by_purpose() {
  local name bad=0
  for name in $(sed -n 's/.*GMX_API .*\b\(gmx_[a-z0-9_]*\)(.*/\1/p' include/gomax.h); do
    grep -q "reference/[a-z-]*.html#c.$name\"" "$out/docs/functions.html" || { echo "$name"; bad=1; }
  done
  return $bad
}

check "the site is made, and every link leads somewhere" make_site
check "each function is found by its purpose" by_purpose
check "links within a page lead there" grep -q '<p><a class="reference internal" href="#begin-and-end">' "$out/docs/functions.html"
check "no page needs a network" no_network
check "each function has an example" examples
if [[ -n $browser ]]; then
  check "the search finds a function" finds gmx_select gomax-channels
  check "the search finds by purpose" finds "semaphore+waiting" gomax-semaphores
  check "no page is wider than a phone" narrow
else
  echo "left out: there is no browser (chromium)"
  skipped=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
