"""Code that runs inside the trainer's environment, beside torch and LLaMA-Factory. It imports nothing of the harness.

- ``entry.py``: what the harness starts: data to disk, LLaMA-Factory's ``run_exp``, progress to a file
- ``dataset.py``: the tokenised dataset that LLaMA-Factory reads
- ``dpo_step.py``: a faster step for preference training, proved against LLaMA-Factory's own
- ``packed_pairs.py``: pairs in one row of tokens
- ``lora_linear.py``: a linear layer and its LoRA as one step
- ``drift.py``: how far a checkpoint has moved away from the model before, on texts that were not trained on
"""
