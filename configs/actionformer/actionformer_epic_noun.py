# ActionFormer on the 300 nouns of EPIC-KITCHENS-100, SlowFast features, as published.
# mAP at tIoU 0.1 to 0.5 and their mean: published 25.21 24.11 22.66 20.47 16.97, 21.88; measured: -
# The annotations: mmsola epic-annotations FOLDER noun
_base_ = 'actionformer_epic_verb.py'

model = dict(num_classes=300, head=dict(label_smoothing=0.1))
nouns = dict(
    ann_file='annotations/epic_kitchens_100_noun.json',
    classes='annotations/epic_kitchens_100_noun_classes.txt',
)
train_dataloader = dict(dataset=nouns)
val_dataloader = dict(dataset=nouns)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/epic_kitchens/annotations/epic_kitchens_100_noun.json')
test_evaluator = val_evaluator
