//! The parsers on samples of the vendor's guide, on nonsense, and on pages that lie.

use domain::{Device, DeviceKind, DeviceStatus, OfflineHint};
use isapi::InconsistentList;
use isapi::parse::{self, DeviceListing, RecordingListing};
use proptest::prelude::*;
use serde_json::{Value, json};

const DEVICE_LIST: &str = r#"{"SearchResult":{"numOfMatches":2,"totalMatches":2,"MatchList":[
 {"Device":{"EhomeParams":{"EhomeID":"J81551785"},"ISAPIPortBound":false,"ISAPIUserBound":false,
  "activeStatus":true,"devIndex":"38941127-49B5-44B3-84FC-219747AFF04E","devMode":"AE-DI5042-G4",
  "devName":"DASHCAM","devStatus":"online","devType":"encodingDev","protocolType":"ehomeV5","videoChannelNum":5}},
 {"Device":{"EhomeParams":{"EhomeID":"F16507415"},"activeStatus":true,
  "devIndex":"E1554DB4-3F60-465D-82CF-45D3740A3D92","devMode":"DS-K1T331W","devName":"FACIAL1",
  "devStatus":"offline","offlineHint":3,"devType":"AccessControl","protocolType":"ehomeV5","videoChannelNum":1}}]}}"#;

const STREAM_URL: &str =
    "rtsp://3.140.9.60:554/dac/realplay/38941127-49B5-44B3-84FC-219747AFF04E1/MAIN/TCP?streamform=rtp";

fn parsed(text: &str) -> Value {
    parse::json(text.as_bytes()).unwrap()
}

/// One device with these fields beside its index.
fn device(fields: &Value) -> Device {
    let mut device = json!({"devIndex": "A"});
    device
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let page = json!({"SearchResult": {"totalMatches": 1, "MatchList": [{"Device": device}]}});
    parse::device_page(&page).unwrap().devices.remove(0)
}

#[test]
fn the_guides_device_list_is_read() {
    let page = parse::device_page(&parsed(DEVICE_LIST)).unwrap();
    assert_eq!((page.stated, page.total), (Some(2), 2));
    let dashcam = Device {
        index: "38941127-49B5-44B3-84FC-219747AFF04E".into(),
        name: "DASHCAM".to_owned(),
        kind: DeviceKind::Encoder,
        status: DeviceStatus::Online,
        video_channels: 5,
    };
    assert_eq!(page.devices[0], dashcam);
    assert_eq!(page.devices[1].kind, DeviceKind::AccessControl);
    assert_eq!(
        page.devices[1].status,
        DeviceStatus::Offline(OfflineHint::Network)
    );
}

#[test]
fn every_status_and_hint_is_told_apart_and_an_unknown_status_is_neither_online_nor_gone() {
    let status = |fields: Value| device(&fields).status;
    assert_eq!(status(json!({"devStatus": "sleep"})), DeviceStatus::Sleep);
    assert_eq!(status(json!({"devStatus": "dozing"})), DeviceStatus::Sleep);
    assert_eq!(status(json!({})), DeviceStatus::Sleep);
    let hints = [
        (json!(0), OfflineHint::Waiting),
        (json!("1"), OfflineHint::WrongKey),
        (json!(2), OfflineHint::VersionMismatch),
        (json!(3), OfflineHint::Network),
        (json!(4), OfflineHint::Unknown),
        (json!(null), OfflineHint::Unknown),
    ];
    for (hint, expected) in hints {
        let fields = json!({"devStatus": "offline", "offlineHint": hint});
        assert_eq!(status(fields), DeviceStatus::Offline(expected));
    }
}

#[test]
fn what_no_decision_hangs_on_may_be_missing_or_odd() {
    let device = device(&json!({"devName": null, "devType": "toaster", "videoChannelNum": {}}));
    assert_eq!((device.name.as_str(), device.video_channels), ("", 1));
    assert_eq!(device.kind, DeviceKind::Other("toaster".to_owned()));
}

#[test]
fn a_list_is_empty_only_when_it_says_so() {
    for list in [
        json!({"totalMatches": 0, "MatchList": null}),
        json!({"totalMatches": "0", "numOfMatches": 0}),
    ] {
        let page = parse::device_page(&json!({"SearchResult": list})).unwrap();
        assert_eq!(DeviceListing::new(100).add(page), Ok(true));
    }
    for answer in [
        json!(null),
        json!({}),
        json!({"SearchResult": null}),
        json!({"SearchResult": {}}),
        json!({"SearchResult": {"totalMatches": 0, "MatchList": {}}}),
        json!({"SearchResult": {"totalMatches": -1}}),
        json!({"ResponseStatus": {"statusCode": 6}}),
    ] {
        assert!(parse::device_page(&answer).is_err(), "{answer}");
    }
}

#[test]
fn an_entry_without_an_index_spoils_the_page_instead_of_looking_like_a_removal() {
    for entry in [
        json!({}),
        json!(null),
        json!({"Device": {}}),
        json!({"Device": {"devIndex": ""}}),
        json!({"Device": {"devIndex": 7}}),
    ] {
        let page = json!({"SearchResult": {"totalMatches": 1, "numOfMatches": 1, "MatchList": [entry]}});
        assert!(parse::device_page(&page).is_err(), "{page}");
    }
}

#[test]
fn channel_ids_are_numbers_or_texts_and_never_positions() {
    let answer = json!({"ChannelInfo": {"VideoChannel": [
        {"Channel": {"id": 1, "name": "Tür"}}, {"Channel": {"id": "2"}}, {"Channel": {"id": 5, "name": null}}]}});
    let channels = parse::channels(&answer).unwrap();
    let ids: Vec<_> = channels.iter().map(|channel| channel.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "5"]);
    assert_eq!(channels[0].name, "Tür");
    assert_eq!(
        parse::channels(&json!({"ChannelInfo": {"VideoChannel": null}})).unwrap(),
        []
    );
    for bad in [
        json!({"id": null}),
        json!({"id": ""}),
        json!({"id": 1.5}),
        json!({}),
    ] {
        assert!(parse::channels(&json!({"ChannelInfo": {"VideoChannel": [{"Channel": bad}]}})).is_err());
    }
    assert!(parse::channels(&json!({})).is_err());
}

#[test]
fn a_stream_url_is_handed_on_as_it_is_but_never_with_credentials() {
    let read = |url: &str| parse::stream_url(&json!({"MediaAccessInfo": {"URL": url}}));
    assert_eq!(read(STREAM_URL).unwrap(), STREAM_URL);
    assert_eq!(
        read(&STREAM_URL.replace("rtsp://", "rtsp://admin:hunter2@")).unwrap(),
        STREAM_URL
    );
    for url in [
        "",
        "rtsp://",
        "http://3.140.9.60/",
        "file:///etc/passwd",
        "rtsp:x",
        &"rtsp://a/".repeat(1000),
    ] {
        assert!(read(url).is_err(), "{url}");
    }
}

#[test]
fn a_response_status_is_found_with_and_without_its_name() {
    let inner = json!({"requestURL": "/x", "statusCode": "4", "statusString": "Invalid Operation",
        "subStatusCode": "badAuthorization", "lockStatus": "lock", "retryTimes": "0", "resLockTime": 1800});
    let status = parse::response_status(&json!({"ResponseStatus": inner})).unwrap();
    assert_eq!(parse::response_status(&inner), Some(status.clone()));
    assert_eq!((status.status_code, status.tries_left), (Some(4), Some(0)));
    assert_eq!(status.locked_for, Some(jiff::SignedDuration::from_secs(1800)));
    assert!(status.locked);
    assert_eq!(parse::response_status(&json!({"SearchResult": {}})), None);
}

#[test]
fn a_lock_lasts_more_than_no_time_and_a_day_at_most() {
    let locked_for = |value| {
        let status = parse::response_status(&json!({"lockStatus": "lock", "resLockTime": value})).unwrap();
        status.locked_for.map(|time| time.as_secs())
    };
    assert_eq!(locked_for(json!(0)), None);
    assert_eq!(locked_for(json!(-1)), None);
    assert_eq!(locked_for(json!("1")), Some(1));
    assert_eq!(locked_for(json!(u64::MAX)), Some(86_400));
}

fn recording(minute: u32) -> Value {
    json!({"searchMatchItem": {
        "timeSpan": {"startTime": format!("2026-01-01T10:{minute:02}:00Z"), "endTime": format!("2026-01-01T10:{minute:02}:30Z")},
        "mediaSegmentDescriptor": {"playbackURI": format!("rtsp://u:p@10.0.0.1/{minute}"), "lockStatus": "unlock"}}})
}

fn add(listing: &mut RecordingListing, status: &str, recordings: &[Value]) -> Result<bool, InconsistentList> {
    let answer = json!({"CMSearchResult": {"responseStatusStrg": status, "matchList": recordings}});
    listing.add(parse::recording_page(&answer).unwrap())
}

#[test]
fn a_search_ends_when_it_says_so_and_drops_credentials_from_its_urls() {
    let mut listing = RecordingListing::default();
    assert_eq!(
        add(&mut listing, "MORE", &[recording(1), recording(2)]),
        Ok(false)
    );
    assert_eq!(add(&mut listing, "OK", &[recording(3)]), Ok(true));
    let recordings = listing.into_recordings();
    assert_eq!(recordings.len(), 3);
    assert_eq!(recordings[0].playback_url, "rtsp://10.0.0.1/1");
    assert_eq!(add(&mut RecordingListing::default(), "NO MATCH", &[]), Ok(true));
}

#[test]
fn a_search_that_contradicts_itself_is_no_answer() {
    assert!(add(&mut RecordingListing::default(), "MORE", &[]).is_err());
    assert!(add(&mut RecordingListing::default(), "NO MATCH", &[recording(1)]).is_err());
    let mut listing = RecordingListing::default();
    add(&mut listing, "MORE", &[recording(1)]).unwrap();
    assert!(
        add(&mut listing, "OK", &[recording(1)]).is_err(),
        "the same page again"
    );
    for status in ["", "SOON"] {
        let answer = json!({"CMSearchResult": {"responseStatusStrg": status, "matchList": []}});
        assert!(parse::recording_page(&answer).is_err());
    }
}

/// The pages of a list of so many devices, as an honest gateway gives them.
fn honest_pages(total: usize, page_size: usize) -> Vec<Value> {
    let devices: Vec<Value> = (0..total)
        .map(|n| json!({"Device": {"devIndex": format!("D{n}"), "devStatus": "online"}}))
        .collect();
    let page = |entries: &[Value]| {
        json!({"SearchResult": {
        "numOfMatches": entries.len(), "totalMatches": total, "MatchList": entries}})
    };
    match total {
        0 => vec![page(&[])],
        _ => devices.chunks(page_size).map(page).collect(),
    }
}

/// What a reader makes of these pages: the devices, or nothing.
fn read_pages(pages: &[Value], page_size: u32) -> Option<Vec<Device>> {
    let mut listing = DeviceListing::new(page_size);
    for page in pages {
        if listing.add(parse::device_page(page).ok()?).ok()? {
            return Some(listing.into_devices());
        }
    }
    None
}

/// One way a page can lie.
#[derive(Debug, Clone)]
enum Lie {
    DropEntry(prop::sample::Index),
    DropEntryAndCount(prop::sample::Index),
    RepeatEntry(prop::sample::Index),
    Stated(u64),
    LaterTotal(u64),
    Empty,
    NullList,
    NoList,
    WrongType(prop::sample::Index),
    PageTwice,
}

fn lie() -> impl Strategy<Value = Lie> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        at().prop_map(Lie::DropEntry),
        at().prop_map(Lie::DropEntryAndCount),
        at().prop_map(Lie::RepeatEntry),
        (0u64..50).prop_map(Lie::Stated),
        (0u64..50).prop_map(Lie::LaterTotal),
        Just(Lie::Empty),
        Just(Lie::NullList),
        Just(Lie::NoList),
        at().prop_map(Lie::WrongType),
        Just(Lie::PageTwice),
    ]
}

fn tell(lie: &Lie, pages: &mut Vec<Value>, at: usize) {
    let result = &mut pages[at]["SearchResult"];
    let entries = result["MatchList"].as_array().map_or(0, Vec::len);
    match lie {
        Lie::DropEntry(which) if entries > 0 => {
            result["MatchList"]
                .as_array_mut()
                .unwrap()
                .remove(which.index(entries));
        }
        Lie::DropEntryAndCount(which) if entries > 0 => {
            result["MatchList"]
                .as_array_mut()
                .unwrap()
                .remove(which.index(entries));
            result["numOfMatches"] = (entries - 1).into();
        }
        Lie::RepeatEntry(which) if entries > 0 => {
            let repeated = result["MatchList"][which.index(entries)].clone();
            result["MatchList"].as_array_mut().unwrap().push(repeated);
        }
        Lie::DropEntry(_) | Lie::DropEntryAndCount(_) | Lie::RepeatEntry(_) => {}
        Lie::Stated(count) => result["numOfMatches"] = (*count).into(),
        // The first page's total is all a reader has to hold the list against, so only later ones can lie.
        Lie::LaterTotal(total) if at > 0 => result["totalMatches"] = (*total).into(),
        Lie::LaterTotal(_) => {}
        Lie::Empty => {
            result["MatchList"] = json!([]);
            result["numOfMatches"] = 0.into();
        }
        Lie::NullList => result["MatchList"] = Value::Null,
        Lie::NoList => drop(result.as_object_mut().unwrap().remove("MatchList")),
        Lie::WrongType(which) => {
            let name = ["numOfMatches", "totalMatches", "MatchList"][which.index(3)];
            result[name] = json!("many");
        }
        Lie::PageTwice => {
            let page = pages[at].clone();
            pages.insert(at, page);
        }
    }
}

#[test]
fn a_total_that_shrinks_to_what_was_read_so_far_is_not_the_end() {
    let mut pages = honest_pages(40, 10);
    pages[1]["SearchResult"]["totalMatches"] = 20.into();
    let mut listing = DeviceListing::new(10);
    let mut add = |page: &Value| listing.add(parse::device_page(page).unwrap());
    assert_eq!(add(&pages[0]), Ok(false));
    let changed = InconsistentList::TotalChanged {
        before: 40,
        after: 20,
    };
    assert_eq!(add(&pages[1]), Err(changed));
}

#[test]
fn a_list_longer_than_any_gateway_has_is_not_begun() {
    let page = json!({"SearchResult": {"totalMatches": 20_001, "MatchList": []}});
    let page = parse::device_page(&page).unwrap();
    let beyond = InconsistentList::BeyondBound {
        count: 20_001,
        max: 20_000,
    };
    assert_eq!(DeviceListing::new(100).add(page), Err(beyond));
}

proptest! {
    #[test]
    fn honest_pages_are_accepted_whole(total in 0usize..40, page_size in 1usize..10) {
        let devices = read_pages(&honest_pages(total, page_size), page_size as u32).unwrap();
        prop_assert_eq!(devices.len(), total);
    }

    #[test]
    fn a_page_that_lies_never_makes_the_list_shorter(
        total in 0usize..40, page_size in 1usize..10, at in any::<prop::sample::Index>(), lie in lie(),
    ) {
        let mut pages = honest_pages(total, page_size);
        let at = at.index(pages.len());
        tell(&lie, &mut pages, at);
        let accepted = read_pages(&pages, page_size as u32);
        prop_assert!(accepted.is_none_or(|devices| devices.len() == total));
    }

    #[test]
    fn a_page_cut_off_anywhere_is_no_page(cut in 0..DEVICE_LIST.len()) {
        let whole = DEVICE_LIST.as_bytes();
        prop_assert!(parse::json(&whole[..cut]).is_err());
    }

    #[test]
    fn a_flipped_byte_never_makes_the_list_shorter(at in 0..DEVICE_LIST.len(), byte in any::<u8>()) {
        let mut bytes = DEVICE_LIST.as_bytes().to_vec();
        bytes[at] = byte;
        let page = parse::json(&bytes).ok().and_then(|answer| parse::device_page(&answer).ok());
        let mut listing = DeviceListing::new(100);
        if let Some(Ok(true)) = page.map(|page| listing.add(page)) {
            prop_assert_eq!(listing.into_devices().len(), 2);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(answer) = parse::json(&bytes) {
            let _ = (parse::device_page(&answer), parse::channels(&answer), parse::stream_url(&answer));
            let _ = (parse::recording_page(&answer), parse::response_status(&answer));
        }
    }

    #[test]
    fn no_json_makes_a_parser_panic(answer in any_json()) {
        for name in ["SearchResult", "ChannelInfo", "MediaAccessInfo", "CMSearchResult", "ResponseStatus"] {
            let answer = json!({name: answer});
            let _ = (parse::device_page(&answer), parse::channels(&answer), parse::stream_url(&answer));
            let _ = (parse::recording_page(&answer), parse::response_status(&answer));
        }
    }
}

/// JSON made of the names the parsers look for, in places where they do not belong.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!("rtsp://a@b:99999/")),
        Just(json!("2026-13-01T00:00:00+99:00")),
    ];
    let name = prop::sample::select(vec![
        "MatchList",
        "Device",
        "devIndex",
        "totalMatches",
        "VideoChannel",
        "Channel",
        "id",
        "URL",
        "matchList",
        "searchMatchItem",
        "timeSpan",
        "startTime",
        "endTime",
        "mediaSegmentDescriptor",
        "playbackURI",
        "responseStatusStrg",
        "statusCode",
        "retryTimes",
        "resLockTime",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}
