"""The weights that open_clip knows by name for the presets' architectures, as data.

open_clip's own registry needs torch (10 s of imports) to be read, and forgets a tag's constants when the same weights
are named by path. A test compares this table with that registry.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLIP_MEAN", "CLIP_STD", "OPENAI", "TAGS", "OpenClipTag", "tag_named_in"]

Triple = tuple[float, float, float]

#: open_clip.constants.OPENAI_DATASET_MEAN and _STD
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)

#: open_clip.constants.INCEPTION_MEAN and _STD
HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class OpenClipTag:
    """One set of weights. `sha256` (hex, possibly a prefix) is that of `file`, the form before the hub."""

    tag: str
    repo: str
    licence: str
    quick_gelu: bool = False
    mean: Triple = CLIP_MEAN
    std: Triple = CLIP_STD
    file: str | None = None
    sha256: str | None = None


#: what holds for every network that OpenAI published, where its architecture is not in the table
OPENAI = OpenClipTag("openai", "", "MIT", quick_gelu=True)

_CC_BY_NC = "CC-BY-NC 4.0"

#: architecture -> tag name -> weights
TAGS: dict[str, dict[str, OpenClipTag]] = {
    architecture: {tag.tag: tag for tag in tags}
    for architecture, tags in {
        "ViT-L-14": (
            OpenClipTag(
                "openai",
                "timm/vit_large_patch14_clip_224.openai",
                "MIT",
                quick_gelu=True,
                file="ViT-L-14.pt",
                sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
            ),
            OpenClipTag("laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT", mean=HALF, std=HALF),
            OpenClipTag("datacomp_xl_s13b_b90k", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "MIT"),
            OpenClipTag(
                "laion400m_e31",
                "timm/vit_large_patch14_clip_224.laion400m_e31",
                "MIT",
                file="vit_l_14-laion400m_e31-69988bb6.pt",
                sha256="69988bb6",
            ),
            OpenClipTag(
                "laion400m_e32",
                "timm/vit_large_patch14_clip_224.laion400m_e32",
                "MIT",
                file="vit_l_14-laion400m_e32-3d133497.pt",
                sha256="3d133497",
            ),
            OpenClipTag("metaclip_400m", "timm/vit_large_patch14_clip_224.metaclip_400m", _CC_BY_NC, quick_gelu=True),
            OpenClipTag(
                "metaclip_fullcc", "timm/vit_large_patch14_clip_224.metaclip_2pt5b", _CC_BY_NC, quick_gelu=True
            ),
            OpenClipTag("dfn2b", "apple/DFN2B-CLIP-ViT-L-14", "Apple", quick_gelu=True),
            OpenClipTag("dfn2b_s39b", "apple/DFN2B-CLIP-ViT-L-14-39B", "Apple"),
        ),
        "ViT-B-32": (
            OpenClipTag(
                "openai",
                "timm/vit_base_patch32_clip_224.openai",
                "MIT",
                quick_gelu=True,
                file="ViT-B-32.pt",
                sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            ),
            OpenClipTag("laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT"),
            OpenClipTag("datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "MIT"),
            OpenClipTag(
                "laion400m_e31",
                "timm/vit_base_patch32_clip_224.laion400m_e31",
                "MIT",
                quick_gelu=True,
                file="vit_b_32-quickgelu-laion400m_e31-d867053b.pt",
                sha256="d867053b",
            ),
            OpenClipTag(
                "laion400m_e32",
                "timm/vit_base_patch32_clip_224.laion400m_e32",
                "MIT",
                quick_gelu=True,
                file="vit_b_32-quickgelu-laion400m_e32-46683a32.pt",
                sha256="46683a32",
            ),
            OpenClipTag(
                "laion2b_e16",
                "timm/vit_base_patch32_clip_224.laion2b_e16",
                "MIT",
                file="vit_b_32-laion2b_e16-af8dbd0c.pth",
                sha256="af8dbd0c",
            ),
            OpenClipTag("metaclip_400m", "timm/vit_base_patch32_clip_224.metaclip_400m", _CC_BY_NC, quick_gelu=True),
            OpenClipTag("metaclip_fullcc", "timm/vit_base_patch32_clip_224.metaclip_2pt5b", _CC_BY_NC, quick_gelu=True),
        ),
    }.items()
}


def tag_named_in(architecture: str, text: str) -> OpenClipTag | None:
    """The tag whose name, or whose repository's, stands in `text` (names of a file and its folders); the longest one.

    `DFN2B-CLIP-ViT-L-14-39B` holds the name of the tag `dfn2b`, whose activation is another: it is `dfn2b_s39b`.
    """
    plain = _plain(text)
    found = [
        (len(name), tag)
        for tag in TAGS.get(architecture, {}).values()
        for name in (_plain(tag.tag), _plain(tag.repo.rsplit("/", 1)[-1]))
        if name in plain
    ]
    return max(found, key=lambda pair: pair[0], default=(0, None))[1]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
