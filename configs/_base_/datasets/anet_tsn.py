# ActivityNet-1.3, CUHK's TSN features (400-d csv, every video resized to 100 snippets), laid out as
# MMAction2's tools/data/activitynet prepares them.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/ActivityNet/',
    data_prefix=dict(feature='activitynet_feature_cuhk/csv_mean_100'),
    feature=dict(format='csv', num_channels=400),
    # a few videos of the annotation cannot be had any more
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, ann_file='anet_anno_train.json')
validation = dict(**videos, ann_file='anet_anno_val.json')
official = dict(ann_file='data/ActivityNet/anet_anno_val.json')
