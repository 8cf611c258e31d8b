"""Suffixes of the files that are read here."""

VIDEO_SUFFIXES = (
    *('.mp4', '.mkv', '.avi', '.mov', '.webm', '.m4v', '.mpg', '.mpeg', '.flv', '.wmv'),
    *('.ts', '.mts', '.m2ts', '.3gp', '.3g2', '.gif', '.ogv', '.ogm', '.vob', '.mxf', '.asf'),
    *('.rm', '.rmvb', '.f4v', '.divx', '.dv', '.m2v', '.mpv', '.qt', '.mjpg', '.mjpeg', '.y4m'),
    *('.h264', '.264', '.h265', '.265', '.hevc', '.ivf', '.nut', '.wtv'),
)
FEATURE_SUFFIXES = ('.npy', '.npz', '.csv', '.pt', '.pth', '.h5', '.hdf5')
