"""Which languages the known multilingual models were trained on, from their own lists, each with its source.

Codes are ISO 639-1 where there is one, else 639-3 or Wikipedia's own. A closed set names every language of the
training data; an open one only those that the source names, and says nothing about others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Languages(NamedTuple):
    """A set of languages; `closed`: a language that is not in it was not trained on."""

    codes: frozenset[str]
    closed: bool
    source: str


def _set(codes: str, source: str, closed: bool = True) -> Languages:
    return Languages(frozenset(codes.split()), closed, source)


MBERT = _set(
    "af an ar ast az azb ba bar be bg bn bpy br bs ca ce ceb cs cv cy da de el en es et eu fa fi fr fy ga gl gu he "
    "hi hr ht hu hy id io is it ja jv ka kk kn ko ky la lb lmo lt lv mg min mk ml mn mr ms my nds ne new nl nn no "
    "oc pa pms pnb pl pt ro ru scn sco sh sk sl sq sr su sv sw ta te tg th tl tr tt uk ur uz vi vo war yo zh",
    "google-research/bert multilingual.md: 104 Wikipedias, Chinese counted in two scripts",
)
CC100 = _set(
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is "
    "it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl "
    "so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh",
    "facebookresearch/fairseq examples/xlmr/README.md: 100 entries, of which 7 are a second script of a language",
)
MC4 = _set(
    "af am ar az be bg bn ca ceb co cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha haw he hi hmn ht hu hy "
    "id ig is it ja jv ka kk km kn ko ku ky la lb lo lt lv mg mi mk ml mn mr ms mt my ne nl no ny pa pl ps pt ro ru "
    "sd si sk sl sm sn so sq sr st su sv sw ta te tg th tl tr uk ur uz vi xh yi yo zh zu",
    "google-research/multilingual-t5 README.md, languages covered (mC4)",
)
XLM_100 = _set(
    "en es fr de zh ru pt it ar ja id tr nl pl fa vi sv ko he ro no hi uk cs fi hu th da ca el bg sr ms bn hr sl "
    "yue az sk eo ta sh lt et ml la bs sq arz af ka mr eu tl ang gl nn ur kk be hy te lv mk als is wuu my sco mn "
    "ceb ast cy kn br an gu bar uz lb ne si war jv ga nan oc ku sw nds ckb ia yi fy scn gan tt am",
    "facebookresearch/XLM README.md, the 17 and 100 languages",
)
XLM_17 = _set("en fr es de it pt nl sv pl ru ar tr zh ja ko hi vi", "facebookresearch/XLM README.md")
XNLI_15 = _set("ar bg de el en es fr hi ru sw th tr ur vi zh", "facebookresearch/XLM README.md, XNLI-15")
M2M = _set(
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu "
    "hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no nso oc or pa pl ps pt "
    "ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu",
    "model card of facebook/m2m100_418M, languages covered (the card's 'ns' is Northern Sotho, nso)",
)
BLOOM = _set(
    "ak ar as bm bn ca en es eu fon fr gu hi id ig ki kn lg ln ml mr ne nso ny or pa pt rn rw sn st sw ta te tn ts "
    "tum tw ur vi wo xh yo zh zu",
    "model card of bigscience/bloom (ROOTS), Chinese counted in two scripts",
)
MBART_25 = _set(
    "ar cs de en es et fi fr gu hi it ja kk ko lt lv my ne nl ro ru si tr vi zh",
    "language codes of facebook/mbart-large-cc25",
)
MBART_50 = _set(
    f"{' '.join(MBART_25.codes)} af az bn fa he hr id ka km mk ml mn mr pl ps pt sv sw ta te th tl uk ur xh gl sl",
    "language codes of facebook/mbart-large-50 (it has 52)",
)
XGLM = _set(
    "en ru zh de es fr ja it pt el ko fi id tr ar vi th bg ca hi et bn ta ur sw te eu my ht qu",
    "model card of facebook/xglm-564M, training data",
)
NLLB = _set(
    "ace acm acq aeb af ajp ak am apc ar ars ary arz as ast awa ayr azb az ba bm ban be bem bn bho bjn bo bs bug bg "
    "ca ceb cs cjk ckb crh cy da de dik dyu dz el en eo et eu ee fo fa fj fi fon fr fur fuv gd ga gl gn gu ht ha he "
    "hi hne hr hu hy ig ilo id is it jv ja kab kac kam kn ks ka knc kk kbp kea km ki rw ky kmb kg ko ku lo lv lij "
    "li ln lt lmo ltg lb lua lg luo lus mag mai ml mr min mk mg mt mni mn mos mi ms my nl nn no ne nso nus ny oc om "
    "or pag pa pap pl pt prs ps quy ro rn ru sg sa sat scn shn si sk sl sm sn sd so st es sq sc sr ss su sv sw szl "
    "ta tt te tg tl th ti taq tpi tn ts tk tum tr tw tzm ug uk umb ur uz vec vi war wo xh yi yo yue zh zu",
    "FLORES-200 codes of facebook/nllb-200, scripts of one language joined",
)
ALEXATM = _set("ar en fr de hi it ja mr pt es ta te", "Soltan et al. 2022, arXiv:2208.01448, abstract")
EUROBERT = _set(
    "en fr de es zh it ru pl pt ja vi nl ar tr hi",
    "model card of EuroBERT; Boizard et al. 2025, arXiv:2503.05500",
    False,
)
LLAMA_8 = _set("en de fr it pt hi es th", "Llama 3.1 and 3.2 model cards: supported; trained on more", False)
SMOLLM3 = _set("en fr es de it pt", "model card of SmolLM3: six supported; trained on more", False)
QWEN_25 = _set("zh en fr es pt de it ru ja ko vi th ar", "QwenLM/Qwen2.5 README.md: 29 and more, 13 named", False)
QWEN_3 = _set(
    "en fr pt de ro sv da bg ru cs el uk es nl sk hr pl lt no nn fa sl gu lv it oc ne mr be sr lb as cy ast sd ga "
    "fo hi pa bn or tg yi lmo scn gl ca is sq li af mk si ur bs hy zh my ar he mt id ms tl ceb jv su min ban pag "
    "ilo war ta te kn ml tr az uz kk ba tt th lo fi et hu vi km ja ko ka eu ht sw",
    "Qwen3 announcement: 119 languages and dialects",
    False,
)
FINEWEB_2 = _set(
    "en ru zh de ja es fr it pt pl nl id tr cs ko ar hu fa ro vi uk el da sv no fi th",
    "Marone et al. 2025, arXiv:2509.06888: every language of FineWeb-2; only its largest are named here",
    False,
)
WHISPER = _set(
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi "
    "ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd "
    "gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jv su",
    "openai/whisper tokenizer.py; large-v3 has one more",
    False,
)

# By id, the corpora whose list is one of these.
CORPORA: Mapping[str, Languages] = {
    "cc100": CC100, "mc4": MC4, "roots": BLOOM, "cc25": MBART_25, "ml50-bitext": MBART_50, "nllb-mined": NLLB,
    "fineweb-2": FINEWEB_2,
}  # fmt: skip
# (family, the column `languages` as the table has it) -> the set that the count stands for.
SETS: Mapping[tuple[str, str], Languages] = {
    ("BERT", "104"): MBERT,
    ("DeBERTa-v3", "102"): CC100._replace(closed=False, source=f"trained on CC100: {CC100.source}"),
    ("XLM-R", "100"): CC100,
    ("XLM", "100"): XLM_100,
    ("XLM", "17"): XLM_17,
    ("XLM", "15"): XNLI_15,
    ("M2M-100", "100"): M2M,
    ("mT5", "101"): MC4,
    ("ByT5", "101"): MC4,
    ("BLOOM", "46 natural + 13 code"): BLOOM,
    ("mBART", "25"): MBART_25,
    ("mBART", "50"): MBART_50,
    ("XGLM", "30"): XGLM,
    ("NLLB-200", "200"): NLLB,
    ("AlexaTM", "12"): ALEXATM,
    ("EuroBERT", "European and major world languages, code, math"): EUROBERT,
    ("Llama 3.1", "8 official"): LLAMA_8,
    ("Llama 3.2", "8 official"): LLAMA_8,
    ("SmolLM3", "6"): SMOLLM3,
    ("Qwen2.5", ""): QWEN_25,
    ("Qwen3", "100+ (QwenLM/Qwen3 README)"): QWEN_3,
    ("mmBERT", "1833"): FINEWEB_2,
    ("Whisper", "99-100 (tokenizer.py)"): WHISPER,
}
