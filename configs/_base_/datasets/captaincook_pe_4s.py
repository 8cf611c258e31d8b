# What differs from captaincook_pe.py with one snippet in four seconds, a quarter of the data. It is
# made of that by
#
#   mmsola thin-features data/captaincook_pe/features data/captaincook_pe_4s/features \
#       --every 4 --dtype float16
thin = dict(
    data_root='data/',
    ann_file='captaincook_pe/annotations.json',
    data_prefix=dict(feature='captaincook_pe_4s/features'),
    timeline=dict(stride_frames=4, window_frames=1, fps=1),
)
