from __future__ import annotations

import cv2
import numpy as np
import pytest

from loader.data.transforms import Affine


@pytest.mark.parametrize(("code", "kind"), [(-4, MemoryError), (-215, cv2.error)])
def test_want_of_memory_is_told_from_other_errors(monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]) -> None:
    error = cv2.error("says OpenCV")
    error.code = code

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(cv2, "warpAffine", fail)
    with pytest.raises(kind, match="says OpenCV"):
        Affine(10)((np.zeros((4, 5), np.uint8),), np.random.default_rng(0))
