"""What transforms have in common that give pixels a new place: masks, boxes and key points move with the picture."""

from __future__ import annotations

import copy
from abc import abstractmethod
from functools import partial
from typing import Any, TypeVar

from loader.data.spec import PART_NAMES, Leaf, SampleSpec
from loader.data.transforms.leaf_transform import Fields, LeafTransform, Step
from loader.data.transforms.places.moved_places import Matrix, MovedBoxes, MovedPlaces, MovedPoints
from loader.errors import ConfigError

_Self = TypeVar("_Self", bound="MovingTransform")


class MovingTransform(LeafTransform):
    """One that gives pixels a new place.

    Args:
        fields: the arrays to change.
        masks: more of them, which hold class numbers: those take the nearest pixel, never a mixture.
        boxes: arrays of boxes in the pictures.
        points: arrays of points in the pictures.
    """

    def __init__(self, fields: Fields, masks: Fields = (), boxes: Fields = (), points: Fields = ()) -> None:
        self.masks, self.boxes, self.points = self.names(masks, "masks"), self.names(boxes, "boxes"), self.names(points, "points")
        super().__init__((*self.names(fields, "fields"), *self.masks))

    def for_leaf(self, leaf: Leaf) -> LeafTransform:
        return self.treated(leaf)

    def treated(self: _Self, leaf: Leaf) -> _Self:
        """Return this transform with the settings for `leaf`."""
        if not {PART_NAMES[leaf.part], leaf.key, leaf.name} & set(self.masks):
            return self
        changed = copy.copy(self)
        changed.treat_as_mask()
        return changed

    def treat_as_mask(self) -> None:
        """Change the settings to those for masks."""

    def steps(self, spec: SampleSpec) -> list[Step]:
        kinds: tuple[tuple[type[MovedPlaces], tuple[str, ...]], ...] = ((MovedBoxes, self.boxes), (MovedPoints, self.points))
        places = {number: kind for kind, names in kinds for number in spec.select(names)}
        pictures = [number for number in spec.select(self.fields) if number not in places]
        steps = [self.step(number, spec.leaves[number]) for number in pictures]
        if places:
            shape, result = self._picture([spec.leaves[number] for number in pictures])
            motion = partial(self.motion, shape)
            for number, kind in places.items():
                moved = kind(type(self).__name__, motion, result)
                steps.append((number, moved, moved.result(spec.leaves[number])))
        return steps

    @abstractmethod
    def motion(self, shape: tuple[int, ...], drawn: Any) -> Matrix:
        """Return how a picture is moved.

        Args:
            shape: of the picture, with its height and width first.
            drawn: for the sample; None unless `random`.
        """

    def _picture(self, pictures: list[Leaf]) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Return the shape of the pictures that places lie in, and the size of what becomes of them."""
        name = type(self).__name__
        for leaf in pictures:
            if len(leaf.shape) not in (2, 3):
                raise ConfigError(f"{name}: {leaf} is not a picture, (height, width) or (height, width, channels): boxes and points lie in pictures")
        sizes = {leaf.shape[:2]: leaf for leaf in pictures}
        if len(sizes) != 1:
            found = " and ".join(map(str, sizes.values())) or "none"
            raise ConfigError(f"{name}: boxes and points are in pixels of the pictures in fields, which must have one size; there are {found}")
        height, width = self.result(pictures[0]).shape[:2]
        return pictures[0].shape, (height, width)
