"""Training never waits for data: a multiprocess loader for Keras, from files of any kind into shared memory, without a copy to the model.

Names are imported when they are first used (`loader.lazy_names`).
"""

from typing import TYPE_CHECKING

from loader.errors import (
    ArgumentError,
    AttachError,
    ConfigError,
    DataNotFoundError,
    DecodeError,
    FetchError,
    IterationError,
    LabelError,
    LoaderClosed,
    LoaderError,
    MemoryLimitError,
    NpyError,
    PipelineError,
    SampleError,
    SampleTimeout,
    StateError,
    SupervisorDied,
)
from loader.lazy_names import lazy_names

if TYPE_CHECKING:
    from loader.data import decode, transforms
    from loader.data.plans.buckets import Buckets
    from loader.data.sources.arrays.npy_arrays import NpyArrays
    from loader.data.sources.arrays.raw_array import RawArray
    from loader.data.sources.arrays.windows import Windows
    from loader.data.sources.files.byte_files import ByteFiles
    from loader.data.sources.files.npy_files import NpyFiles
    from loader.data.sources.lines.text_lines import TextLines
    from loader.data.sources.objects.iter_source import IterSource
    from loader.data.sources.objects.map_source import MapSource
    from loader.data.sources.source import Source
    from loader.data.sources.zip_source import Zip
    from loader.data.spec import SampleSpec
    from loader.data.statistics.statistics import Statistics
    from loader.measure.stats import Stats
    from loader.ray_workers import RayWorkers
    from loader.train.loader import Loader
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Buckets": "data.plans.buckets",
            "ByteFiles": "data.sources.files.byte_files",
            "IterSource": "data.sources.objects.iter_source",
            "Loader": "train.loader",
            "MapSource": "data.sources.objects.map_source",
            "NpyArrays": "data.sources.arrays.npy_arrays",
            "NpyFiles": "data.sources.files.npy_files",
            "RawArray": "data.sources.arrays.raw_array",
            "RayWorkers": "ray_workers",
            "SampleSpec": "data.spec",
            "Source": "data.sources.source",
            "Statistics": "data.statistics.statistics",
            "Stats": "measure.stats",
            "TextLines": "data.sources.lines.text_lines",
            "Windows": "data.sources.arrays.windows",
            "Zip": "data.sources.zip_source",
            "decode": "data.decode",
            "transforms": "data.transforms",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "AttachError",
    "Buckets",
    "ByteFiles",
    "ConfigError",
    "DataNotFoundError",
    "DecodeError",
    "FetchError",
    "IterSource",
    "IterationError",
    "LabelError",
    "Loader",
    "LoaderClosed",
    "LoaderError",
    "MapSource",
    "MemoryLimitError",
    "NpyArrays",
    "NpyError",
    "NpyFiles",
    "PipelineError",
    "RawArray",
    "RayWorkers",
    "SampleError",
    "SampleSpec",
    "SampleTimeout",
    "Source",
    "StateError",
    "Statistics",
    "Stats",
    "SupervisorDied",
    "TextLines",
    "Windows",
    "Zip",
    "decode",
    "transforms",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
