"""The text of gmx_metrics_text, read by the rules of OpenMetrics: here, and by prometheus_client if it is installed."""

import re
import unittest
from typing import Dict, List, Tuple

import gomax

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

NAME = r"[a-z][a-z0-9_]*"
LABELS = r'\{%s="[^"\\\n]*"(?:,%s="[^"\\\n]*")*\}' % (NAME, NAME)
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
ENDS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
Samples = Dict[str, List[Tuple[str, float]]]


def parse(text: str) -> Dict[str, Tuple[str, Samples]]:
    """Each family: its type, and its samples (name: labels and value). A line that no rule allows is an error."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1, text[-100:]
    found: Dict[str, Tuple[str, Samples]] = {}
    family = kind = ""
    for line in text.splitlines()[:-1]:
        head = re.fullmatch(r"# (TYPE|UNIT|HELP) (%s) (.+)" % NAME, line)
        if head:
            what, name, words = head.groups()
            if what == "TYPE":
                assert name not in found and words in ENDS, line
                family, kind = name, words
                found[family] = kind, {}
            assert name == family and not found[family][1], line
            assert what != "UNIT" or name.endswith("_" + words), line
            continue
        sample = re.fullmatch(r"(%s)(%s)? (%s)" % (NAME, LABELS, NUMBER), line)
        assert sample, line
        name, labels, value = sample.groups()
        assert name.startswith(family) and name[len(family) :] in ENDS[kind], line
        samples = found[family][1].setdefault(name, [])
        assert labels not in [other for other, _ in samples], line
        samples.append((labels or "", float(value)))
    return found


class Metrics(unittest.TestCase):
    def setUp(self):
        gomax.go(gomax.sleep, 0.001).join()

    def test_by_name(self):
        seen = gomax.metrics()
        self.assertEqual(seen["gomax_procs"], gomax.gomaxprocs())
        self.assertGreaterEqual(seen["gomax_timer_lateness_seconds"], 0)
        self.assertEqual(len(gomax.metrics()), len(seen))

    def test_strictly(self):
        found = parse(gomax.metrics_text())
        named = {re.sub("_total$", "", name.split("{")[0]) for name in gomax.metrics()}
        self.assertEqual(set(found), named)
        for family, (kind, samples) in found.items():
            with self.subTest(family):
                self.assertTrue(samples)
                if kind != "histogram":
                    continue
                counts = dict(samples[family + "_count"])
                series: Dict[str, List[Tuple[float, float]]] = {}
                for labels, value in samples[family + "_bucket"]:
                    match = re.fullmatch(r'\{(.*?),?le="([^"]+)"\}', labels)
                    assert match
                    rest, le = match.groups()
                    series.setdefault("{%s}" % rest if rest else "", []).append((float(le), value))
                self.assertEqual(set(series), set(counts))
                for labels, buckets in series.items():
                    self.assertEqual(buckets, sorted(buckets))
                    self.assertEqual(buckets[-1], (float("inf"), counts[labels]))
                    self.assertEqual(len(buckets), 31)

    @unittest.skipUnless(text_string_to_metric_families, "no prometheus_client")
    def test_by_prometheus_client(self):
        families = list(text_string_to_metric_families(gomax.metrics_text()))
        types = {family.name: family.type for family in families}
        self.assertEqual(types, {name: kind for name, (kind, _) in parse(gomax.metrics_text()).items()})
        units = {family.unit for family in families}
        self.assertEqual(units, {"", "seconds", "bytes"})

    def test_wrong_texts_are_found(self):
        text = gomax.metrics_text()
        for wrong in (
            text.replace("# EOF\n", ""),
            text.replace("\ngomax_procs ", "\ngomax_procs_total "),
            text.replace("# UNIT gomax_uptime_seconds seconds", "# UNIT gomax_uptime_seconds bytes"),
            text.replace("gomax_switches_total ", "gomax_switches_total -"),
            text + "gomax_procs 1\n",
        ):
            self.assertNotEqual(wrong, text)
            with self.assertRaises(AssertionError):
                parse(wrong)


if __name__ == "__main__":
    unittest.main()
