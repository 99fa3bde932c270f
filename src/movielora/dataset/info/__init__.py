"""`dataset_info.json`: the entries of datasets, in LLaMA-Factory's form."""
