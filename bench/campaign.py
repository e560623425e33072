"""The campaign against bad input by hand; exit code 1 if anything failed.

python bench/campaign.py --hlo 10000 --documents 10000 --data 5000 --kills 200 --stores 200 --options --seed 1
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

if __name__ == "__main__":
    from soak.campaign import main

    sys.exit(main())
