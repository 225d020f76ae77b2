"""States, provinces and cities of the United States and Canada with their time zones.

Cities are taken from GeoNames (geonames.org, CC BY 4.0): places of 60,000 people, in states with two clocks of 30,000,
and towns on the rarer side of such a state. A name that is listed under two clocks means neither by itself.
"""

from ringback.domain.time_zone import (
    ADAK,
    ANCHORAGE,
    BOISE,
    CHICAGO,
    DAWSON_CREEK,
    DENVER,
    DETROIT,
    EDMONTON,
    HALIFAX,
    HONOLULU,
    INDIANAPOLIS,
    LOS_ANGELES,
    LOUISVILLE,
    NEW_YORK,
    PHOENIX,
    REGINA,
    TORONTO,
    VANCOUVER,
    WINNIPEG,
)

# One county with another legal zone makes a state ambiguous. Arizona counts without the Navajo Nation, whose towns are
# listed with the cities.
_STATES: dict[tuple[str, ...], str] = {
    (NEW_YORK,): (
        "CT connecticut|DE delaware|DC district of columbia|GA georgia|ME maine|MD maryland|MA massachusetts|"
        "NH new hampshire|NJ new jersey|NY new york|NC north carolina|OH ohio|PA pennsylvania|RI rhode island|"
        "SC south carolina|VT vermont|VA virginia|WV west virginia"
    ),
    (CHICAGO,): (
        "AL alabama|AR arkansas|IL illinois|IA iowa|LA louisiana|MN minnesota|MS mississippi|MO missouri|OK oklahoma|"
        "WI wisconsin"
    ),
    (DENVER,): "CO colorado|MT montana|NM new mexico|UT utah|WY wyoming",
    (PHOENIX,): "AZ arizona",
    (LOS_ANGELES,): "CA california|WA washington",
    (HONOLULU,): "HI hawaii",
    (NEW_YORK, CHICAGO): "FL florida|TN tennessee",
    (INDIANAPOLIS, CHICAGO): "IN indiana",
    (LOUISVILLE, CHICAGO): "KY kentucky",
    (DETROIT, CHICAGO): "MI michigan",
    (CHICAGO, DENVER): "KS kansas|NE nebraska|ND north dakota|SD south dakota|TX texas",
    (BOISE, LOS_ANGELES): "ID idaho",
    (LOS_ANGELES, BOISE): "OR oregon",
    (LOS_ANGELES, DENVER): "NV nevada",
    (ANCHORAGE, ADAK): "AK alaska",
    (TORONTO, WINNIPEG, "America/Atikokan"): "ON ontario",
    (TORONTO, "America/Blanc-Sablon"): "QC quebec",
    (VANCOUVER, EDMONTON, DAWSON_CREEK): "BC british columbia",
    (EDMONTON,): "AB alberta",
    (REGINA, EDMONTON): "SK saskatchewan",
    (WINNIPEG,): "MB manitoba",
    (HALIFAX,): "NS nova scotia|PE prince edward island",
    ("America/Moncton",): "NB new brunswick",
    ("America/St_Johns", "America/Goose_Bay"): "NL newfoundland and labrador",
    ("America/Whitehorse",): "YT yukon",
    (EDMONTON, "America/Inuvik"): "NT northwest territories",
}

_ALL = [(one.split(" ", 1), zones) for zones, names in _STATES.items() for one in names.split("|")]
#: By two-letter code.
ZONES_OF_STATES: dict[str, tuple[str, ...]] = {code: zones for (code, _), zones in _ALL}
#: Code by name in lower case.
STATE_CODES: dict[str, str] = {name: code for (code, name), _ in _ALL}


#: Cities of states and provinces with several clocks, where the name of the state is not enough.
IN_STATES: dict[tuple[str, str], str] = {
    ("AK", "America/Anchorage"): "anchorage|fairbanks",
    ("AK", "America/Juneau"): "juneau",
    ("AZ", "America/Denver"): "chinle|kayenta|tuba city|window rock",
    ("AZ", "America/Phoenix"): (
        "ahwatukee foothills|apache junction|avondale|buckeye|bullhead city|casa grande|casas adobes|"
        "catalina foothills|chandler|el mirage|encanto|flagstaff|florence|gilbert|glendale|goodyear|"
        "lake havasu city|marana|maricopa|maryvale|mesa|oro valley|peoria|phoenix|prescott|prescott valley|"
        "queen creek|san luis|san tan valley|scottsdale|sierra vista|sun city|surprise|tempe|tempe junction|"
        "tucson|yuma"
    ),
    ("BC", "America/Dawson_Creek"): "dawson creek|fort st john",
    ("BC", "America/Edmonton"): "cranbrook",
    ("BC", "America/Vancouver"): (
        "abbotsford|brighouse city centre|burnaby|campbell river|chilliwack|chilliwack downtown|cloverdale|"
        "coquitlam|delta|downtown vancouver|east hastings|fairview|fleetwood|kamloops|kelowna|"
        "kensington cedar cottage|kitsilano|langford|langley|maple ridge|metrotown|mission|mt pleasant|"
        "nanaimo|new westminster|north delta|north vancouver|okanagan mission|penticton|port coquitlam|"
        "prince george|renfrew collingwood|richmond|rutland|saanich|south surrey|surrey|surrey city centre|"
        "vancouver|vernon|victoria|victoria downtown|victoria fraserview|west vancouver|whalley|willoughby"
    ),
    ("FL", "America/Chicago"): "destin|fort walton beach|navarre|panama city|pensacola|santa rosa beach",
    ("FL", "America/New_York"): (
        "alafaya|allapattah|altamonte springs|apopka|aventura|boca raton|bonita springs|boynton beach|"
        "bradenton|brandon|cape coral|carol city|carrollwood|carrollwood village|clearwater|clermont|"
        "coconut creek|cooper city|coral gables|coral springs|cutler bay|dania beach|davie|daytona beach|"
        "deerfield beach|deland|delray beach|deltona|doral|dunedin|egypt lake leto|estero|flagami|"
        "fort lauderdale|fort myers|fort pierce|fountainebleau|gainesville|golden glades|greenacres city|"
        "hallandale beach|hialeah|hollywood|homestead|jacksonville|jupiter|kendale lakes|kendall|"
        "kendall west|kissimmee|lake worth beach|lakeland|lakeside|land o lakes|largo|lauderdale lakes|"
        "lauderhill|lehigh acres|little havana|margate|melbourne|merritt island|miami|miami beach|"
        "miami gardens|miami lakes|miramar|north fort myers|north lauderdale|north miami|north miami beach|"
        "north port|oakland park|ocala|ocoee|orlando|ormond beach|oviedo|palm bay|palm beach gardens|"
        "palm coast|palm harbor|parkland|pembroke pines|pine hills|pinellas park|plant city|plantation|"
        "poinciana|pompano beach|ponte vedra beach|port charlotte|port orange|port saint lucie|princeton|"
        "richmond west|riverview|riviera beach|royal palm beach|saint cloud|sanford|sarasota|spring hill|"
        "st johns|st petersburg|sunrise|tallahassee|tamarac|tamiami|tampa|the acreage|the villages|"
        "titusville|town n country|valrico|wellington|wesley chapel|west hollywood|west little river|"
        "west palm beach|weston|winter garden|winter haven|winter springs"
    ),
    ("ID", "America/Boise"): "boise|caldwell|idaho falls|meridian|nampa|pocatello|twin falls",
    ("ID", "America/Los_Angeles"): "coeur dalene|lewiston|lewiston orchards|moscow|post falls",
    ("IN", "America/Chicago"): "evansville|gary|hammond|merrillville|michigan city|portage|valparaiso",
    ("IN", "America/Indiana/Indianapolis"): (
        "anderson|bloomington|carmel|columbus|elkhart|fishers|fort wayne|goshen|granger|greenwood|"
        "indianapolis|kokomo|lafayette|lawrence|mishawaka|muncie|noblesville|plainfield|richmond|south bend|"
        "terre haute|west lafayette|westfield"
    ),
    ("IN", "America/Kentucky/Louisville"): "jeffersonville|new albany",
    ("KS", "America/Chicago"): (
        "dodge city|hutchinson|kansas city|lawrence|leavenworth|leawood|lenexa|manhattan|olathe|"
        "overland park|salina|shawnee|topeka|wichita"
    ),
    ("KS", "America/Denver"): "goodland",
    ("KY", "America/Chicago"): "bowling green|hopkinsville|owensboro|paducah",
    ("KY", "America/Kentucky/Louisville"): "louisville",
    ("KY", "America/New_York"): "covington|florence|frankfort|georgetown|lexington|lexington fayette|meads|richmond",
    ("MI", "America/Detroit"): (
        "ann arbor|battle creek|bay city|canton|dearborn|detroit|east lansing|eastpointe|farmington hills|"
        "flint|grand rapids|holland|jackson|kalamazoo|kentwood|lansing|lincoln park|livonia|marquette|"
        "midland|muskegon|novi|pontiac|portage|redford|rochester hills|roseville|royal oak|saginaw|"
        "saint clair shores|shelby|southfield|sterling heights|taylor|troy|warren|waterford|westland"
    ),
    ("MI", "America/Menominee"): "iron mountain",
    ("ND", "America/Chicago"): "bismarck|fargo|grand forks|minot|west fargo|williston",
    ("ND", "America/Denver"): "dickinson",
    ("NE", "America/Chicago"): "bellevue|grand island|kearney|lincoln|north platte|omaha",
    ("NE", "America/Denver"): "scottsbluff",
    ("NL", "America/St_Johns"): "st johns",
    ("NV", "America/Denver"): "west wendover",
    ("NV", "America/Los_Angeles"): (
        "carson city|enterprise|henderson|las vegas|north las vegas|pahrump|paradise|reno|sparks|"
        "spring valley|sunrise manor|whitney"
    ),
    ("ON", "America/Toronto"): (
        "ajax|ancaster|annex|aurora|barrie|belleville|bowmanville|brampton|brant|brantford|burlington|"
        "caledon|cambridge|chatham|church yonge corridor|cornwall|dovercourt wallace emerson junction|"
        "downsview roding cfb|etobicoke|fort erie|georgetown|gloucester|greater sudbury|guelph|halton hills|"
        "hamilton|innisfil|islington city centre west|kanata|kingston|kitchener|lamoreaux|lasalle|leamington|"
        "london|malvern|markham|milton|mimico|mississauga|mount olive silverstone jamestown|nepean|newmarket|"
        "niagara|niagara falls|north bay|oakville|orangeville|orillia|orleans|oshawa|ottawa|ottawa south|"
        "parkwoods donalda|peterborough|pickering|quinte west|richmond hill|rouge|sarnia|sault ste marie|"
        "st catharines|st thomas|stittsville|stoney creek|stouffville|stratford|thunder bay|timmins|toronto|"
        "vaughan|waterfront communities the island|waterloo|welland|west humber clairville|whitby|"
        "whitchurch stouffville|willowdale|willowdale east|windsor|woburn|woodstock"
    ),
    ("ON", "America/Winnipeg"): "kenora",
    ("OR", "America/Boise"): "ontario",
    ("OR", "America/Los_Angeles"): (
        "albany|aloha|beaverton|bend|corvallis|eugene|grants pass|gresham|hillsboro|keizer|lake oswego|"
        "mcminnville|medford|oregon city|portland|salem|springfield|tigard"
    ),
    ("QC", "America/Toronto"): (
        "ahuntsic cartierville|aylmer|beauport|blainville|boucherville|brossard|cartierville|charlesbourg|"
        "chateauguay|chicoutimi|chomedey|cote saint luc|dollard des ormeaux|drummondville|duvernay|gatineau|"
        "granby|hull|joliette|jonquiere|la cite limoilou|la haute saint charles|laval|laval des rapides|"
        "le plateau mont royal|le sud ouest|le vieux longueuil|les rivieres|levis|longueuil|mascouche|"
        "mercier–hochelaga maisonneuve|mirabel|montreal|montreal nord|neufchatel est–lebourgneuf|"
        "notre dame de grace|parc extension|pierrefonds|pierrefonds roxboro|pointe claire|quebec|quebec city|"
        "repentigny|rimouski|riviere des prairies–pointe aux trembles|rock forest|rosemont–la petite patrie|"
        "saguenay|saint eustache|saint georges|saint hubert|saint hyacinthe|saint jean sur richelieu|"
        "saint jerome|saint laurent|saint leonard|saint louis de terrebonne|saint michel|sainte foy|"
        "salaberry de valleyfield|shawinigan|sherbrooke|snowdon|sorel tracy|terrebonne|trois rivieres|"
        "val des arbres|verdun|victoriaville|ville emard|ville marie|villeray–saint michel–parc extension"
    ),
    ("SD", "America/Chicago"): "pierre|sioux falls",
    ("SD", "America/Denver"): "rapid city|spearfish|sturgis",
    ("SK", "America/Edmonton"): "lloydminster",
    ("SK", "America/Regina"): (
        "arcola east|confederation|core neighbourhoods|lawson|moose jaw|nutana sector|prince albert|regina|saskatoon"
    ),
    ("TN", "America/Chicago"): (
        "bartlett|brentwood|brentwood estates|clarksville|collierville|columbia|cookeville|cordova|franklin|"
        "gallatin|germantown|hendersonville|hermitage|jackson|la vergne|lebanon|memphis|mount juliet|"
        "murfreesboro|nashville|new south memphis|smyrna|spring hill"
    ),
    ("TN", "America/New_York"): "chattanooga|cleveland|east chattanooga|johnson city|kingsport|knoxville",
    ("TX", "America/Chicago"): (
        "abilene|alief|allen|amarillo|arlington|atascocita|austin|baytown|beaumont|bedford|brownsville|"
        "bryan|burleson|carrollton|cedar hill|cedar park|celina|channelview|cibolo|cleburne|college station|"
        "conroe|coppell|copperas cove|corpus christi|cypress|dallas|deer park|del rio|denton|desoto|"
        "duncanville|edinburg|euless|farmers branch|flower mound|fort worth|friendswood|frisco|galveston|"
        "garland|georgetown|grand prairie|grapevine|haltom city|harlingen|houston|huntsville|hurst|irving|"
        "keller|killeen|kyle|la porte|lancaster|laredo|league city|leander|lewisville|little elm|longview|"
        "lubbock|lufkin|mansfield|mcallen|mckinney|mesquite|midland|mission|mission bend|missouri city|"
        "nacogdoches|new braunfels|north richland hills|odessa|pasadena|pearland|pflugerville|pharr|plano|"
        "port arthur|richardson|rockwall|rosenberg|round rock|rowlett|san angelo|san antonio|san juan|"
        "san marcos|schertz|sherman|spring|sugar land|temple|texarkana|texas city|the colony|"
        "the trails of frisco|the woodlands|tyler|university of texas|victoria|waco|waxahachie|weslaco|"
        "wichita falls|wylie"
    ),
    ("TX", "America/Denver"): "el paso|socorro",
}

ELSEWHERE: dict[str, str] = {
    "America/Chicago": (
        "ames|appleton|auburn|aurora|baton rouge|belmont cragin|blaine|bloomington|bolingbrook|bossier city|"
        "broken arrow|brooklyn park|burnsville|cedar rapids|champaign|chicago|columbia|coon rapids|"
        "council bluffs|davenport|des moines|dothan|eagan|east independence|eau claire|eden prairie|edmond|"
        "elgin|fayetteville|fort smith|green bay|gulfport|hoover|huntsville|iowa city|jackson|janesville|"
        "joliet|jonesboro|kansas city|kenner|kenosha|lafayette|lake charles|lakeville|lawton|lees summit|"
        "lincoln park|little rock|logan square|madison|maple grove|metairie|metairie terrace|milwaukee|"
        "minneapolis|montgomery|moore|naperville|near north side|new orleans|norman|north little rock|"
        "north peoria|ofallon|oklahoma city|oshkosh|palatine|peoria|portage park|racine|rochester|rockford|"
        "saint cloud|saint joseph|saint paul|schaumburg|shreveport|sioux city|skokie|south lawndale|"
        "springdale|springfield|st louis|st paul|tulsa|tuscaloosa|waterloo|waukegan|waukesha|west allis|"
        "west coon rapids|west des moines|west gulfport|west ridge|west town|woodbury"
    ),
    "America/Denver": (
        "albuquerque|arvada|aurora|billings|boulder|broomfield|casper|centennial|cheyenne|colorado springs|"
        "denver|enchanted hills|fort collins|grand junction|greeley|highlands ranch|lakewood|las cruces|"
        "layton|longmont|loveland|millcreek|missoula|ogden|orem|provo|pueblo|rio rancho|saint george|"
        "salt lake city|sandy|sandy hills|south jordan|taylorsville|thornton|west jordan|west valley city|"
        "westminster"
    ),
    "America/Edmonton": (
        "airdrie|calgary|edmonton|fort mcmurray|grande prairie|lethbridge|medicine hat|red deer|sherwood park"
    ),
    "America/Halifax": "dartmouth|halifax",
    "America/Los_Angeles": (
        "alameda|alhambra|anaheim|antioch|arden arcade|auburn|bakersfield|baldwin park|bellevue|bellflower|"
        "bellingham|berkeley|boyle heights|buena park|camarillo|canoga park|carmichael|carson|castro valley|"
        "chico|chino|chino hills|chula vista|citrus heights|compton|concord|costa mesa|cupertino|daly city|"
        "davis|downey|east los angeles|el cajon|el monte|elk grove|encinitas|escondido|florence graham|"
        "folsom|fontana|fremont|fresno|fullerton|garden grove|gardena|glendale|hayward|hemet|hesperia|"
        "hollywood|huntington beach|indio|inglewood|irvine|kennewick|la habra|la mesa|"
        "laguna niguel|lake elsinore|lakewood|lancaster|livermore|long beach|los angeles|lynwood|madera|"
        "manteca|menifee|merced|milpitas|mira mesa|mission viejo|modesto|montebello|monterey park|"
        "moreno valley|mountain view|murrieta|napa|national city|newport beach|north hollywood|northridge|"
        "norwalk|oakland|oxnard|palmdale|palo alto|pasadena|pasco|perris|petaluma|pico rivera|pleasanton|"
        "pomona|rancho cordova|rancho cucamonga|rancho penasquitos|redding|redlands|redmond|redondo beach|"
        "redwood city|renton|reseda|rialto|richmond|riverside|rocklin|roseville|sacramento|salinas|"
        "san bernardino|san clemente|san diego|san francisco|san jose|san leandro|san marcos|san ramon|"
        "santa ana|santa barbara|santa clarita|santa monica|seattle|simi valley|south san francisco|spokane|"
        "spokane valley|stockton|sunnyvale|sylmar|tacoma|temecula|thousand oaks|torrance|tracy|"
        "tulare|turlock|tustin|union city|upland|vacaville|vallejo|valley glen|van nuys|vancouver|ventura|"
        "victorville|visalia|vista|walnut creek|west covina|westminster|whittier|woodland hills|yakima|"
        "yorba linda|yuba city"
    ),
    "America/Moncton": "fredericton|moncton|saint john",
    "America/New_York": (
        "akron|albany|allentown|alpharetta|amherst|arlington|asheville|astoria|atlanta|baltimore|bayonne|"
        "bensalem|bensonhurst|bethesda|borough park|boston|brick|brockton|brooklyn|buffalo|bushwick|camden|"
        "canarsie|canton|cary|centreville|charlotte|cheektowaga|cherry hill|chesapeake|cincinnati|cleveland|"
        "columbia|columbus|concord|coney island|dale city|danbury|dayton|dorchester|dundalk|durham|"
        "east flatbush|east hampton|east harlem|east new york|east norwalk|east orange|east village|edison|"
        "elizabeth|ellicott city|fall river|fayetteville|flatbush|flatlands|fordham|"
        "forest hills|framingham|framingham center|frederick|gaithersburg|gastonia|germantown|glen burnie|"
        "gravesend|greenburgh|greensboro|hamilton|hampton|harlem|hartford|haverhill|high point|irvington|"
        "jacksonville|jersey city|johns creek|kings bridge|lawrence|lorain|lowell|lynchburg|lynn|macon|"
        "malden|manhattan|middletown|nashua|new bedford|new britain|new haven|new rochelle|new york city|"
        "newport news|norfolk|north bergen|north charleston|north stamford|norwalk|park slope|parkchester|"
        "passaic|paterson|pawtucket|philadelphia|pittsburgh|portland|portsmouth heights|providence|queens|"
        "raleigh|richmond|richmond hill|ridgewood|roanoke|rochester|rock hill|rockville|sandy springs|"
        "savannah|schenectady|scranton|sheepshead bay|silver spring|somerville|south boston|south fulton|"
        "south ozone park|south suffolk|springfield|stamford|staten island|suffolk|sunset park|the bronx|"
        "toledo|toms river|trenton|union city|upper west side|utica|vineland|virginia beach|waldorf|waltham|"
        "warner robins|warwick|washington heights|waterbury|west albany|west hartford|"
        "west lynchburg|west raleigh|winston salem|worcester|yonkers|youngstown"
    ),
    "America/Winnipeg": "fort garry south|winnipeg",
    "Pacific/Honolulu": "honolulu",
}

#: Names that count only with their state: each also names a place with another clock, or is a word.
NEEDS_ITS_STATE = (
    "avondale|bay city|beaumont|bedford|belleville|bend|bowling green|brandon|brentwood|brownsville|"
    "cambridge|carmel|carrollton|chatham|covington|cypress|deer park|delta|dickinson|dunedin|enterprise|"
    "fairview|fleetwood|frankfort|franklin|gary|grand island|greenwood|hermitage|homestead|kingston|"
    "lakeside|lansing|lebanon|lewiston|lincoln|london|longview|mansfield|margate|marquette|medford|"
    "melbourne|meridian|moscow|oakville|ontario|oviedo|panama city|paradise|parkland|peterborough|"
    "plainfield|plantation|princeton|riverview|rutland|saginaw|salem|san juan|san luis|sanford|smyrna|"
    "socorro|spring valley|stratford|sun city|sunrise|surprise|taylor|the woodlands|troy|valparaiso|"
    "wellington|west hollywood|weston|willoughby|woodstock"
)
