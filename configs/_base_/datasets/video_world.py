# Generated videos: mmsola video-world data/video_world, then features of them:
#   mmsola train mmsola::recognition/recognition_video_world.py
#   mmsola extract mmsola::recognition/recognition_video_world.py \
#       'work_dirs/recognition_video_world/epoch_*.pth' data/video_world/videos \
#       data/video_world/features --stride 8
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/video_world/',
    ann_file='annotations.json',
    data_prefix=dict(feature='{{$VIDEO_WORLD_FEATURES:features}}'),
    timeline=dict(stride_frames=8, window_frames=16),
    group_field='subject',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
