"""What the columns of the demo's six datasets mean: the words of the data standards, without any number from data.

After the U.S. Census Bureau's PUMS data dictionary for 2024; the Chinese texts are this project's.
`demo.standards_publisher` writes the standards from this.
"""

from dataclasses import dataclass

Text = tuple[str, str]

KEY_COLUMN = "resident_id"
DATASET_TITLES: dict[str, Text] = {
    "civil_affairs": ("Households and persons in the register of civil affairs", "民政：家庭与人口登记"),
    "human_resources": ("Employment and education", "人力资源和社会保障：就业与学历"),
    "health_disability": ("Disability", "卫生健康：残疾状况"),
    "housing": ("Housing", "住房：住房状况"),
    "public_security": ("Residence, origin, language", "公安：居住、来源与语言"),
    "tax": ("Income", "税务：收入"),
}

NOT_A_FAMILY: Text = ("not a family household", "非家庭户")
NOT_WORKING: Text = ("did not work in the past 12 months", "过去12个月未工作")
YES_NO: tuple[Text, ...] = (("yes", "是"), ("no", "否"))


@dataclass(frozen=True)
class Column:
    """One feature: an integer with a range, or a code.

    `codes` are the titles of the codes 1, 2 …; `code_numbers` lists codes without titles. A code with neither
    takes the codes that occur in the public files, for the two lists that are too long for here.
    """

    name: str
    title: Text
    sensitivity: str
    missing_means: Text | None = None
    codes: tuple[Text, ...] | None = None
    code_numbers: tuple[int, ...] | None = None
    minimum: int | None = None
    maximum: int | None = None
    unit: str | None = None


def _number(
    name: str, title: Text, sensitivity: str, span: tuple[int, int], unit: str, missing_means: Text | None = None
) -> Column:
    return Column(name, title, sensitivity, missing_means, minimum=span[0], maximum=span[1], unit=unit)


FEATURES: dict[str, tuple[Column, ...]] = {
    "civil_affairs": (
        _number("AGEP", ("Age", "年龄"), "medium", (18, 64), "years"),
        Column("SEX", ("Sex", "性别"), "low", None, (("male", "男"), ("female", "女"))),
        Column(
            "MAR",
            ("Marital status", "婚姻状况"),
            "medium",
            None,
            (
                ("married", "已婚"),
                ("widowed", "丧偶"),
                ("divorced", "离婚"),
                ("separated", "分居"),
                ("never married", "未婚"),
            ),
        ),
        Column(
            "FER",
            ("Gave birth in the past 12 months", "过去12个月生育"),
            "high",
            ("male, or a woman outside 15 to 50 years", "男性，或15至50岁以外的女性"),
            YES_NO,
        ),
        Column(
            "HHT",
            ("Household type", "家庭户类型"),
            "low",
            None,
            (
                ("married couple household", "夫妻家庭户"),
                ("other family household, male householder, no spouse present", "其他家庭户，男性户主，无配偶"),
                ("other family household, female householder, no spouse present", "其他家庭户，女性户主，无配偶"),
                ("nonfamily household, male householder living alone", "非家庭户，男性户主独居"),
                ("nonfamily household, male householder not living alone", "非家庭户，男性户主非独居"),
                ("nonfamily household, female householder living alone", "非家庭户，女性户主独居"),
                ("nonfamily household, female householder not living alone", "非家庭户，女性户主非独居"),
            ),
        ),
        _number("NP", ("Persons in the household", "户内人数"), "low", (1, 20), "persons"),
        _number("NPF", ("Persons in the family", "家庭人数"), "low", (2, 20), "persons", NOT_A_FAMILY),
        Column("MULTG", ("Multigenerational household", "多代同堂"), "low", None, (("no", "否"), ("yes", "是"))),
        _number("HH_NCHILD", ("Members under 18 years", "18岁以下成员数"), "low", (0, 20), "persons"),
        _number("HH_NU5", ("Members under 5 years", "5岁以下成员数"), "low", (0, 20), "persons"),
        _number("HH_NELD", ("Members of 65 years and over", "65岁及以上成员数"), "low", (0, 20), "persons"),
    ),
    "human_resources": (
        Column(
            "ESR",
            ("Employment status", "就业状况"),
            "medium",
            None,
            (
                ("civilian employed, at work", "在业，在岗"),
                ("civilian employed, with a job but not at work", "在业，未在岗"),
                ("unemployed", "失业"),
                ("armed forces, at work", "军人，在岗"),
                ("armed forces, with a job but not at work", "军人，未在岗"),
                ("not in the labour force", "非劳动力"),
            ),
        ),
        Column(
            "COW",
            ("Class of worker", "从业身份"),
            "low",
            None,
            (
                ("employee of a private for-profit company", "私营企业雇员"),
                ("employee of a private not-for-profit organisation", "非营利组织雇员"),
                ("local government employee", "地方政府雇员"),
                ("state government employee", "州政府雇员"),
                ("federal government employee", "联邦政府雇员"),
                ("self-employed, not incorporated", "自营，未注册公司"),
                ("self-employed, incorporated", "自营，已注册公司"),
                ("working without pay in a family business or farm", "家庭经营无酬劳动"),
                (
                    "unemployed and last worked 5 years ago or earlier, or never worked",
                    "失业且五年以上未工作或从未工作",
                ),
            ),
        ),
        _number(
            "WKHP", ("Usual hours worked per week", "每周工作时数"), "medium", (1, 99), "hours per week", NOT_WORKING
        ),
        _number(
            "WKWN",
            ("Weeks worked in the past 12 months", "过去12个月工作周数"),
            "medium",
            (1, 52),
            "weeks",
            NOT_WORKING,
        ),
        Column(
            "IND_SECTOR",
            ("Sector of industry, groups AGR to UNE in dictionary order", "行业大类"),
            "low",
            None,
            (),
            tuple(range(1, 20)),
        ),
        Column(
            "OCC_MAJOR",
            ("Major occupation group, MGR to UNE in dictionary order", "职业大类"),
            "low",
            None,
            (),
            tuple(range(1, 27)),
        ),
        _number(
            "JWMNP",
            ("Travel time to work", "通勤时间"),
            "low",
            (1, 200),
            "minutes",
            ("not at work last week, or worked from home", "上周未上班或居家工作"),
        ),
        Column(
            "JWTRNS",
            ("Means of transportation to work", "通勤方式"),
            "low",
            ("not at work last week", "上周未上班"),
            (
                ("car, truck or van", "汽车"),
                ("bus", "公共汽车"),
                ("subway or elevated rail", "地铁"),
                ("long-distance train or commuter rail", "火车或通勤铁路"),
                ("light rail, streetcar or trolley", "轻轨或有轨电车"),
                ("ferryboat", "轮渡"),
                ("taxi or ride-hailing", "出租车"),
                ("motorcycle", "摩托车"),
                ("bicycle", "自行车"),
                ("walked", "步行"),
                ("worked from home", "居家工作"),
                ("other", "其他"),
            ),
        ),
        Column(
            "SCHL",
            ("Educational attainment, from 1 (none) to 24 (doctorate)", "受教育程度（1为无，24为博士）"),
            "low",
            None,
            (),
            tuple(range(1, 25)),
        ),
        Column(
            "FOD1P", ("Field of degree, PUMS code", "所学专业代码"), "low", ("no bachelor's degree", "无学士学位"), ()
        ),
    ),
    "health_disability": (
        Column("DIS", ("Any disability", "是否残疾"), "high", None, YES_NO),
        Column("DEAR", ("Hearing difficulty", "听力困难"), "high", None, YES_NO),
        Column("DEYE", ("Vision difficulty", "视力困难"), "high", None, YES_NO),
        Column("DREM", ("Cognitive difficulty", "认知困难"), "high", None, YES_NO),
        Column("DPHY", ("Ambulatory difficulty", "行走困难"), "high", None, YES_NO),
    ),
    "housing": (
        Column(
            "TEN",
            ("Tenure", "住房权属"),
            "medium",
            None,
            (
                ("owned with mortgage or loan", "自有，有贷款"),
                ("owned free and clear", "自有，无贷款"),
                ("rented", "租赁"),
                ("occupied without payment of rent", "免租居住"),
            ),
        ),
        _number("VALP", ("Property value", "房产价值"), "high", (1, 9_999_999), "US dollars", ("not owned", "非自有")),
        _number(
            "RNTP",
            ("Monthly rent", "月租金"),
            "medium",
            (1, 99_999),
            "US dollars per month",
            ("no rent is paid", "不付租金"),
        ),
        _number("BDSP", ("Bedrooms", "卧室数"), "low", (0, 99), "rooms"),
        _number("RMSP", ("Rooms", "房间数"), "low", (1, 99), "rooms"),
        Column(
            "YRBLT",
            (
                "When the structure was first built: first year of the period; 1939 is 1939 or earlier",
                "建成年份（时段首年）",
            ),
            "low",
            None,
            (),
            (1939, 1940, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2020, 2021, 2022, 2023, 2024),
        ),
        Column(
            "BLD",
            ("Units in the structure", "建筑类型"),
            "low",
            None,
            (
                ("mobile home or trailer", "活动房屋"),
                ("one-family house, detached", "独栋住宅"),
                ("one-family house, attached", "联排住宅"),
                ("2 apartments", "2套公寓"),
                ("3 to 4 apartments", "3至4套公寓"),
                ("5 to 9 apartments", "5至9套公寓"),
                ("10 to 19 apartments", "10至19套公寓"),
                ("20 to 49 apartments", "20至49套公寓"),
                ("50 or more apartments", "50套以上公寓"),
                ("boat, recreational vehicle, van or the like", "船、房车等"),
            ),
        ),
        Column(
            "MV",
            ("When moved into this home", "入住时长"),
            "low",
            None,
            (
                ("12 months or less", "12个月以内"),
                ("13 to 23 months", "13至23个月"),
                ("2 to 4 years", "2至4年"),
                ("5 to 9 years", "5至9年"),
                ("10 to 19 years", "10至19年"),
                ("20 to 29 years", "20至29年"),
                ("30 years or more", "30年以上"),
            ),
        ),
    ),
    "public_security": (
        Column(
            "CIT",
            ("Citizenship status", "公民身份"),
            "high",
            None,
            (
                ("born in the United States", "生于美国"),
                ("born in a U.S. territory", "生于美国属地"),
                ("born abroad of American parents", "生于国外，父母为美国公民"),
                ("citizen by naturalisation", "入籍公民"),
                ("not a citizen", "非公民"),
            ),
        ),
        Column(
            "NATIVITY", ("Nativity", "出生地"), "medium", None, (("native", "本国出生"), ("foreign born", "外国出生"))
        ),
        Column("LANX", ("Speaks another language than English at home", "在家使用其他语言"), "medium", None, YES_NO),
        Column(
            "ENG",
            ("Ability to speak English", "英语能力"),
            "medium",
            ("speaks only English at home", "在家只说英语"),
            (("very well", "很好"), ("well", "好"), ("not well", "不好"), ("not at all", "完全不会")),
        ),
        Column(
            "HHL",
            ("Household language", "家庭语言"),
            "medium",
            None,
            (
                ("English only", "仅英语"),
                ("Spanish", "西班牙语"),
                ("other Indo-European languages", "其他印欧语言"),
                ("Asian and Pacific Island languages", "亚太语言"),
                ("other language", "其他语言"),
            ),
        ),
        Column(
            "MIGSP",
            ("State or country of residence a year ago, PUMS code", "一年前居住的州或国家代码"),
            "medium",
            ("lived in the same house a year ago", "一年前住在同一住所"),
            (),
        ),
        Column(
            "MIL",
            ("Military service", "服役情况"),
            "low",
            None,
            (
                ("now on active duty", "现役"),
                ("on active duty in the past, not now", "曾服现役"),
                ("only for training in the reserves or national guard", "仅预备役训练"),
                ("never served", "从未服役"),
            ),
        ),
    ),
    "tax": (
        _number(
            "PINCP", ("Total income of the person", "个人总收入"), "high", (-99_999, 9_999_999), "US dollars per year"
        ),
        _number("WAGP", ("Wages and salary of the person", "工资收入"), "high", (0, 9_999_999), "US dollars per year"),
        _number(
            "HINCP", ("Income of the household", "家庭户总收入"), "high", (-99_999, 99_999_999), "US dollars per year"
        ),
        _number(
            "FINCP",
            ("Income of the family", "家庭总收入"),
            "high",
            (-99_999, 99_999_999),
            "US dollars per year",
            NOT_A_FAMILY,
        ),
    ),
}
