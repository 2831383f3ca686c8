"""Builds the release files for this platform: executable, archives, checksums, bill of materials."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from release import archives, pyinstaller
from release.bundle import Bundle
from release.modules import commit_and_date
from release.sbom import sbom
from runscaler.platform_names import platform_name


def main() -> None:
    options = parse(sys.argv[1:])
    options.output.mkdir(parents=True, exist_ok=True)
    target = platform_name()
    commit, date = commit_and_date()
    libraries: list[str] = []
    with TemporaryDirectory(prefix="build-release-") as folder:
        work, executable = Path(folder), options.output / "runner"
        if sys.platform == "darwin":
            pyinstaller.build(work, executable, commit, date)
        else:
            bundle = Bundle(work)
            bundle.prepare()
            libraries = bundle.library_names()
            check_glibc(bundle.glibc_version(), options.glibc)
            bundle.write(executable)
    for path in (*archives.write_archives(executable, target, options.output), executable):
        say(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")
    say(str(archives.write_checksums(options.output)))
    bill = options.output / f"runner-{target}.cdx.json"
    bill.write_text(sbom(commit, date, target, libraries), encoding="utf-8")
    say(str(bill))


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/build-release", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("dist"), metavar="DIR", help="default: dist")
    parser.add_argument(
        "--glibc",
        type=lambda text: tuple(int(part) for part in text.split(".")),
        metavar="X.Y",
        help="fail if the executable needs a newer glibc than this; it needs what it was built with",
    )
    return parser.parse_args(words)


def check_glibc(needed: tuple[int, ...], allowed: tuple[int, ...] | None) -> None:
    text = ".".join(map(str, needed))
    if allowed is not None and needed > allowed:
        raise SystemExit(f"error: the executable needs glibc {text}: build it on an older system")
    say(f"runs on glibc {text} or newer")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


main()
