"""The stages that train: text pretraining, image-text pretraining, label classifiers."""
