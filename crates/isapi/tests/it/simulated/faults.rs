use super::{client_of, start, usual_world};
use domain::ports::{Gateway, PortError};
use simulator::{ApiFault, ListFault, Operation, Scenario, Simulator};
use std::time::Duration;

/// What the poll may do about a failed look.
#[derive(Debug, PartialEq)]
enum Kind {
    Throttled,
    Unknown,
    Refused,
}

fn kind(error: &PortError) -> Kind {
    match error {
        PortError::Throttled { .. } => Kind::Throttled,
        PortError::Unknown { .. } => Kind::Unknown,
        PortError::Refused { .. } => Kind::Refused,
    }
}

fn fault(fault: ApiFault) -> Operation {
    Operation::ApiFault {
        fault,
        path: None,
        calls: None,
    }
}

#[tokio::test]
async fn no_trouble_of_the_api_is_ever_a_list_and_each_is_named_by_what_can_be_done() {
    let troubles = [
        (ApiFault::Status { code: 500 }, Kind::Unknown),
        (ApiFault::Status { code: 502 }, Kind::Unknown),
        (ApiFault::Status { code: 503 }, Kind::Throttled),
        (ApiFault::Status { code: 404 }, Kind::Refused),
        (
            ApiFault::Refuse {
                status_code: 2,
                sub_status: "noMemory".to_owned(),
            },
            Kind::Throttled,
        ),
        (
            ApiFault::Refuse {
                status_code: 3,
                sub_status: "deviceError".to_owned(),
            },
            Kind::Unknown,
        ),
        (
            ApiFault::Refuse {
                status_code: 4,
                sub_status: "lowPrivilege".to_owned(),
            },
            Kind::Refused,
        ),
        (ApiFault::DeviceBusy, Kind::Throttled),
        (ApiFault::InvalidContent, Kind::Refused),
        (ApiFault::Garbage, Kind::Unknown),
        (ApiFault::TruncatedJson, Kind::Unknown),
        (ApiFault::HugeBody { bytes: 100_000_000 }, Kind::Unknown),
        (ApiFault::Hang, Kind::Unknown),
        (ApiFault::Slow { ms: 60_000 }, Kind::Unknown),
        (ApiFault::Reset, Kind::Unknown),
    ];
    let gateway = Simulator::start(usual_world()).await.unwrap();
    // Long enough for a busy machine, and it only has to run out twice.
    let client = client_of(&gateway, |config| config.request_timeout = Duration::from_secs(3));
    for (trouble, expected) in troubles {
        gateway.control().apply(fault(trouble.clone())).unwrap();
        let error = Gateway::devices(&client).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{trouble:?}: {}", error.chain());
        gateway.control().apply(Operation::ClearApiFaults).unwrap();
        assert_eq!(
            Gateway::devices(&client).await.unwrap().len(),
            4,
            "well again after {trouble:?}"
        );
    }
}

#[tokio::test]
async fn no_list_that_is_short_or_changes_or_repeats_itself_is_ever_accepted() {
    let troubles = [
        ListFault::ShortPages { devices: 50 },
        ListFault::ShortPages { devices: 99 },
        ListFault::EndsEarly { position: 0 },
        ListFault::EndsEarly { position: 100 },
        ListFault::EndsEarly { position: 149 },
        ListFault::EmptyWithTotal,
        ListFault::ChangingTotal,
        ListFault::DuplicateAcrossPages,
        ListFault::WrongCount,
    ];
    let (gateway, client) = start(Scenario::generated(150, 1).api_only()).await;
    for shape in troubles {
        gateway.control().apply(fault(ApiFault::List { shape })).unwrap();
        let error = Gateway::devices(&client).await.unwrap_err();
        assert_eq!(kind(&error), Kind::Unknown, "{shape:?}: {}", error.chain());
        gateway.control().apply(Operation::ClearApiFaults).unwrap();
        assert_eq!(Gateway::devices(&client).await.unwrap().len(), 150);
    }
}

#[tokio::test]
async fn a_device_that_comes_or_goes_between_pages_spoils_that_look_only() {
    let (gateway, client) = start(Scenario::generated(150, 1).api_only()).await;
    let slow = ApiFault::Slow { ms: 300 };
    gateway
        .control()
        .apply(Operation::ApiFault {
            fault: slow,
            path: None,
            calls: Some(2),
        })
        .unwrap();
    let removal = async {
        while gateway.requests().granted < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let device = simulator::scenario::generated_index(1);
        gateway
            .control()
            .apply(Operation::RemoveDevice { device })
            .unwrap();
    };
    let (look, ()) = tokio::join!(Gateway::devices(&client), removal);
    // Either the second page was made before the removal, or it contradicts the first.
    assert!(look.map_or_else(
        |error| kind(&error) == Kind::Unknown,
        |devices| devices.len() == 150
    ));
    assert_eq!(Gateway::devices(&client).await.unwrap().len(), 149);
}

#[tokio::test]
async fn an_answer_that_is_slow_but_within_its_time_is_an_answer() {
    let (gateway, client) = start(usual_world()).await;
    gateway
        .control()
        .apply(fault(ApiFault::Slow { ms: 200 }))
        .unwrap();
    assert_eq!(Gateway::devices(&client).await.unwrap().len(), 4);
}
