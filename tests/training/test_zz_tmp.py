import pytest
from movielora.progress import SILENT
import json, shutil
from dataclasses import replace
def rows(d,k="loss"):
    return {r["step"]:r[k] for r in map(json.loads,(d/"metrics.jsonl").read_text().splitlines()) if k in r}
@pytest.mark.parametrize("q",[True,False])
def test_x(tiny_config,tmp_path,q):
    from movielora.training.train import TrainRequest, train_run
    kw=dict(use_qlora=q,max_steps=6,eval_steps=3,save_steps=3)
    a=tiny_config(**kw,output_dir=tmp_path/"a"); b=tiny_config(**kw,output_dir=tmp_path/"b")
    ra=train_run(TrainRequest(a),SILENT); rb=train_run(TrainRequest(b),SILENT)
    print("A",rows(ra.run_dir)); print("B",rows(rb.run_dir))
    c=shutil.copytree(ra.run_dir,tmp_path/"c"); shutil.rmtree(c/"checkpoint-6")
    import torch
    from safetensors.torch import load_file
    print({v.dtype for v in load_file(c/"checkpoint-3/adapter_model.safetensors").values()})
    o=torch.load(c/"checkpoint-3/optimizer.pt")
    print({t.dtype for s in o["state"].values() for t in s.values() if hasattr(t,"dtype")})
    train_run(TrainRequest(replace(a,values=a.values.model_copy(update={"output_dir":str(c)})),mode="resume",checkpoint=c/"checkpoint-3"),SILENT)
    print("C",rows(c))
