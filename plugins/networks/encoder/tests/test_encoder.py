"""What the suite does not ask: classifiers, segments, the pooler, training beside transformers' BERT."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dougong import make
from transformers import AutoModel, AutoModelForSequenceClassification

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))
from encoder_twin import NAMES, PARAMS, bert  # noqa: E402


def encoder(**changes):
    torch.manual_seed(0)
    params = {key: value for key, value in PARAMS.items() if key != "use"} | {"initializer_range": 0.3} | changes
    return make("network.encoder", **params).build().eval()


def inputs(batch=3, length=8):
    ids = torch.randint(3, 37, (batch, length), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "token_type_ids": (torch.arange(length) > 3).long().expand(batch, -1)}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_loss_and_every_gradient_equal_berts(implementation):
    ours = encoder()
    theirs = bert(ours)
    for model in (ours, theirs):
        model.set_attn_implementation(implementation)
        model(**inputs(), labels=inputs()["input_ids"]).loss.backward()
    reference = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        for mine, other in NAMES:
            key = key.replace(mine, other)
        if key in reference:
            torch.testing.assert_close(parameter.grad, reference[key].grad, atol=1e-6, rtol=1e-5)


def test_segments_change_what_is_said():
    model = encoder()
    assert not torch.allclose(model(**inputs()).logits, model(inputs()["input_ids"]).logits, atol=1e-2)


@pytest.mark.parametrize("pooler", [False, True])
def test_the_body_becomes_a_classifier_that_learns(pooler, tmp_path):
    encoder(pooler=pooler).save_pretrained(tmp_path)
    body = AutoModel.from_pretrained(tmp_path)
    assert (body(**inputs()).pooler_output is None) != pooler
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    labels, losses = torch.tensor([0, 1, 2]), []
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(20):
        loss = model(**inputs(), labels=labels).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.1 < losses[0]
    model.save_pretrained(tmp_path / "trained")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained")
    assert torch.equal(again.eval()(**inputs()).logits, model.eval()(**inputs()).logits)


def test_params_import_no_torch():
    code = "import sys, dougong_network_encoder as p; p.dougong_networks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
