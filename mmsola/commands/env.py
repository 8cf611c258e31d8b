"""Print versions, processors and devices, for a report of a problem.

mmsola env
"""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    from mmsola import environment

    environment.main()
