use crate::client::{Client, DEVICE_LIST, TIME, entries, start};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::{ApiFault, Control, ListFault, Operation, Scenario, Simulator};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn for_calls(control: &Control, fault: ApiFault, calls: Option<u32>) {
    let path = None;
    control.apply(Operation::ApiFault { fault, path, calls }).unwrap();
}

fn list_fault(control: &Control, shape: ListFault) {
    for_calls(control, ApiFault::List { shape }, None);
}

async fn four_devices() -> (Simulator, Client) {
    let (simulator, mut client) = start(Scenario::generated(4, 1)).await;
    client.get(TIME).await;
    (simulator, client)
}

fn indexes(page: &Value) -> Vec<String> {
    let index = |device: &Value| device["devIndex"].as_str().unwrap().to_owned();
    entries(page).iter().map(index).collect()
}

#[tokio::test]
async fn a_fault_ends_after_its_calls_or_when_it_is_cleared() {
    let (simulator, mut client) = four_devices().await;
    let control = simulator.control();
    for_calls(&control, ApiFault::Status { code: 502 }, Some(2));
    for expected in [502, 502, 200] {
        assert_eq!(client.get(TIME).await.status.as_u16(), expected);
    }
    for_calls(&control, ApiFault::Status { code: 500 }, None);
    for _ in 0..5 {
        assert_eq!(client.get(TIME).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    control.apply(Operation::ClearApiFaults).unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_challenge_does_not_use_a_fault_up() {
    let (simulator, mut client) = four_devices().await;
    for_calls(&simulator.control(), ApiFault::Status { code: 503 }, Some(1));
    client.challenge = None;
    assert_eq!(client.get(TIME).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_fault_can_be_for_one_path() {
    let (simulator, mut client) = four_devices().await;
    let fault = Operation::ApiFault {
        fault: ApiFault::DeviceBusy,
        path: Some("deviceList".to_owned()),
        calls: None,
    };
    simulator.control().apply(fault).unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    let answer = client
        .post(
            DEVICE_LIST,
            json!({"SearchDescription": {"position": 0, "maxResult": 9}}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.status_field("errorMsg"), "Device Busy");
}

#[tokio::test]
async fn refusals_come_as_errors_or_within_an_ok() {
    let (simulator, mut client) = four_devices().await;
    let control = simulator.control();
    for_calls(&control, ApiFault::InvalidContent, Some(1));
    let answer = client.get(TIME).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.status_field("errorMsg"), "Invalid Content");
    let low = ApiFault::Refuse {
        status_code: 4,
        sub_status: "lowPrivilege".to_owned(),
    };
    for_calls(&control, low, Some(1));
    let answer = client.get(TIME).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.status_field("subStatusCode"), "lowPrivilege");
}

#[tokio::test]
async fn a_slow_answer_comes_late_but_right() {
    let (simulator, mut client) = four_devices().await;
    for_calls(&simulator.control(), ApiFault::Slow { ms: 300 }, Some(1));
    let asked = Instant::now();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn garbage_and_truncated_json_do_not_parse() {
    let (simulator, mut client) = four_devices().await;
    let whole = client.get(TIME).await.text;
    for_calls(&simulator.control(), ApiFault::TruncatedJson, Some(1));
    let half = client.get(TIME).await;
    assert_eq!(half.status, StatusCode::OK);
    assert_eq!(half.text.len(), whole.len() / 2);
    assert!(serde_json::from_str::<Value>(&half.text).is_err());
    for_calls(&simulator.control(), ApiFault::Garbage, Some(1));
    let response = client.send(Method::GET, TIME, None).await.unwrap();
    let bytes = response.bytes().await.unwrap();
    assert!(bytes.len() >= 64 && serde_json::from_slice::<Value>(&bytes).is_err());
}

#[tokio::test]
async fn a_huge_body_is_as_long_as_asked() {
    let (simulator, mut client) = four_devices().await;
    let bytes = 3_000_001;
    for_calls(&simulator.control(), ApiFault::HugeBody { bytes }, Some(1));
    let text = client.get(TIME).await.text;
    assert_eq!(text.len() as u64, bytes);
    assert!(
        serde_json::from_str::<Value>(&text).is_ok(),
        "JSON and spaces: only a limit helps"
    );
}

#[tokio::test]
async fn a_call_that_hangs_is_never_answered() {
    let (simulator, mut client) = four_devices().await;
    for_calls(&simulator.control(), ApiFault::Hang, Some(1));
    let answer = tokio::time::timeout(Duration::from_millis(500), client.get(TIME)).await;
    assert!(answer.is_err());
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reset_call_was_carried_out_all_the_same() {
    let (simulator, mut client) = four_devices().await;
    for_calls(&simulator.control(), ApiFault::Reset, Some(1));
    let body = json!({"DeviceInfo": {"deviceName": "lost answer"}});
    let sent = client
        .send(Method::PUT, "/ISAPI/System/deviceInfo?format=json", Some(body))
        .await;
    let lost = match sent {
        Err(_cut) => true,
        Ok(response) => response.bytes().await.is_err(),
    };
    assert!(lost);
    assert_eq!(simulator.control().state().gateway_name, "lost answer");
}

#[tokio::test]
async fn short_pages_are_honest() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::ShortPages { devices: 3 });
    let page = client.page(0, 100).await;
    assert_eq!(
        (&page["numOfMatches"], &page["totalMatches"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(indexes(&client.page(3, 100).await).len(), 1);
}

#[tokio::test]
async fn a_list_can_end_before_its_total() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::EndsEarly { position: 2 });
    assert_eq!(indexes(&client.page(0, 100).await).len(), 2);
    let rest = client.page(2, 100).await;
    assert_eq!(
        (&rest["numOfMatches"], &rest["totalMatches"]),
        (&json!(0), &json!(4))
    );
}

#[tokio::test]
async fn an_empty_page_can_promise_four_devices() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::EmptyWithTotal);
    let page = client.page(0, 100).await;
    assert_eq!(
        (&page["numOfMatches"], &page["totalMatches"]),
        (&json!(0), &json!(4))
    );
    assert!(page["MatchList"].is_null());
}

#[tokio::test]
async fn the_total_can_change_from_page_to_page() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::ChangingTotal);
    let mut totals = BTreeSet::new();
    for position in 0..4 {
        totals.insert(client.page(position, 1).await["totalMatches"].as_u64().unwrap());
    }
    assert_eq!(totals.len(), 4, "{totals:?}");
}

#[tokio::test]
async fn a_device_can_be_on_two_pages_in_place_of_another() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::DuplicateAcrossPages);
    let mut seen = indexes(&client.page(0, 2).await);
    seen.extend(indexes(&client.page(2, 2).await));
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[1], seen[2]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[tokio::test]
async fn the_count_of_a_page_can_be_wrong() {
    let (simulator, mut client) = four_devices().await;
    list_fault(&simulator.control(), ListFault::WrongCount);
    let page = client.page(0, 100).await;
    assert_eq!(page["numOfMatches"], 5);
    assert_eq!(indexes(&page).len(), 4);
}
