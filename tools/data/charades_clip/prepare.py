"""Make charades_clip of the embeddings of video-moment-retrieval and Charades' own csv file."""

import sys

from mmsola.console import run_command

if __name__ == '__main__':
    sys.argv.insert(1, 'charades_clip')
    run_command('prepare')
