"""Words that were retired stay away: names of before, and private words for what has a known one."""

import re
import unittest

import source

# Pattern and what is said instead. Whole words; `\b` is added where a word begins or ends.
RETIRED = {
    "--max-visitors": "--max-entries",
    "--source-rate": "--sender-rate",
    "--source-new": "--sender-new",
    "max_visitors": "max_entries",
    "source_rate": "sender_rate",
    "source_new": "sender_new",
    "source_rate_exceeded": "sender_rate_exceeded",
    "source_new_exceeded": "sender_new_exceeded",
    "label_source_new_exceeded": "label_sender_new_exceeded",
    "datagrams_rejected_source": "datagrams_rejected_sender",
    "xdp_dropped_source": "xdp_dropped_sender",
    "keeper": "maintenance thread",
    "collector_keep": "collector_maintain",
    r"\w*_look\(": "…_run_timers",
    "is_told": "emits_event",
    "bringers": "senders",
    "owed": "departure_deficit",
    "rivals": "candidates",
    "complain_of": "report_error",
    "open_database": "database_open",
    "http_log": "log_line",
    "presencectl-full": "presencectl",
    "visitor words": "entries",
    "tools/libpresence": "lib/presence",
    "tools/http": "lib/http",
    "tools/archive": "lib/archive",
    "include/presence/(?!presence\\.h)\\w+\\.h": "include/core",
}
CORPUS = "tests/fuzz/corpus/"  # bytes, not words

# Functions that lose something without a word when memory is short, and what to call instead.
LOSING = {"open_memstream": "text_stream_open", "json_dumps": "json_whole_text"}
MAY_LOSE = {"lib/common/json_whole.c"}  # it looks whether something was lost

# The list itself; the renamed options and their test.
EXCEPT = {"tests/tree/test_words.py"}
RENAMED = {"daemon/config.c", "tests/unit/test_config.c"}
OPTIONS = {"--max-visitors", "--source-rate", "--source-new"}


def pattern(word):
    begin = r"(?<![\w-])" if re.match(r"[\w-]", word) else ""
    end = r"(?![\w-])" if re.search(r"\w$", word) else ""
    return re.compile(begin + word + end)


PATTERNS = {word: pattern(word) for word in RETIRED}


def found(text, skipped=()):
    """(line, word) of the retired words in a text."""
    return [(number, word) for number, line in enumerate(text.split("\n"), 1)
            for word, regex in PATTERNS.items() if word not in skipped and regex.search(line)]


class Words(unittest.TestCase):
    def test_none_comes_back(self):
        wrong = [f"{path}:{line}: {word}: say {RETIRED[word]}"
                 for path in source.files(suffix="") if path not in EXCEPT and not path.startswith(CORPUS)
                 for line, word in found(source.read(path),
                                         OPTIONS if path in RENAMED else ())]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_nothing_is_lost(self):
        wrong = [f"{path} calls {name}(): call {LOSING[name]}()"
                 for path in source.files("daemon", "include", "lib", "tools") if path not in MAY_LOSE
                 for name in re.findall(r"\w+", source.split(path)[0]) if name in LOSING]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_finds_one(self):
        self.assertEqual(found("with --source-rate 5\nleaves_look(now)"),
                         [(1, "--source-rate"), (2, r"\w*_look\(")])
        self.assertEqual(found("followed, allowed; a --source-rated borrower; housekeeper"), [])


if __name__ == "__main__":
    unittest.main()
