"""python -m bench [PART …]: print the table.

Parts: requests launch upload size many opennebula; all by default.
"""

import importlib
import sys

from bench.harness import Row

PARTS = ("requests", "launch", "upload", "size", "many", "opennebula")


def main() -> int:
    asked = sys.argv[1:] or PARTS
    if unknown := set(asked) - set(PARTS):
        print(f"bench: no such part: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for part in asked:
        print(f"measuring {part} …", file=sys.stderr)
        rows += importlib.import_module(f"bench.{part}").measure()
    print("| what | econe | floor or peer | ratio | promised | |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        verdict = "holds" if row.holds else "**missed**"
        print(
            f"| {row.what} | {row.ours} | {row.other} | {row.ratio:.2f} | {row.bound} | {verdict} |"
        )
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
