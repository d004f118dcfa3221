//! What the cloud, people and clocks do to a gateway in a storm.

use super::gateway::{Sim, devices};
use domain::InstanceId;
use domain::credentials;
use domain::fakes::{Password, Software};
use domain::ports::Power;
use domain::recover::{Request, request};
use futures::executor::block_on;
use jiff::SignedDuration;

impl Sim {
    /// Perhaps something happens now.
    pub(crate) fn provoke(&mut self) {
        let role = self.host.role().map(|role| role.instance_id);
        let any = self.any_instance();
        match self.random.below(900) {
            0..=5 => self.fall_ill(role.as_ref()),
            6..=7 => self.meddle_with(any.as_ref()),
            8 => self.host.inner.place_address(any.as_ref()),
            9 => self.host.inner.place_address(None),
            10 => self.host.inner.doom_launches(true),
            11..=20 => self.host.inner.doom_launches(false),
            21 => self.host.inner.stick_images(true),
            22..=30 => self.host.inner.stick_images(false),
            31..=32 => self.host.inner.refuse(true),
            33..=50 => self.host.inner.refuse(false),
            51..=55 => self.ask(true),
            56 => self.ask(false),
            57 => self.add_by_hand(),
            58 => self.drop_an_image(),
            59..=61 => self.drift(role.as_ref()),
            62 => self.no_video = true,
            63..=80 => self.no_video = false,
            81..=83 => self.host.inner.block_address(true),
            84..=100 => self.host.inner.block_address(false),
            101..=110 => self.fail_an_image(),
            _ => {}
        }
        self.meddle_with_a_saga();
        self.meddle_with_the_clock();
    }

    /// The loops' clock is stepped by up to four minutes either way, and some minutes later back.
    fn meddle_with_the_clock(&mut self) {
        let Some(clocks) = &mut self.clocks else { return };
        if clocks.percent(96) {
            return;
        }
        let seconds = i64::try_from(clocks.below(480)).unwrap() - 240;
        if !self.clock_off.is_zero() {
            self.clock_off = SignedDuration::ZERO;
            return;
        }
        self.clock_off = SignedDuration::from_secs(seconds);
        self.reach(if seconds < 0 {
            "clock behind"
        } else {
            "clock ahead"
        });
    }

    /// Misfortunes that would hardly ever meet the few minutes of a replacement by chance.
    fn meddle_with_a_saga(&mut self) {
        let memory = self.host.memory();
        let Some(saga) = memory.saga else { return };
        let Some(new) = saga.new else { return };
        match self.random.below(300) {
            0 => self.host.inner.meddle(&new, None),
            1 => self.host.inner.meddle(&new, Some(Power::Stop)),
            2 => self.host.inner.place_address(saga.old.as_ref()),
            3 | 4 => self.host.inner.place_address(None),
            5..=8 => self
                .host
                .inner
                .change_software(&new, |software| software.hung = true),
            9 => {
                let any = self.any_instance();
                self.host.inner.place_address(any.as_ref());
            }
            _ => {}
        }
    }

    fn any_instance(&mut self) -> Option<InstanceId> {
        let instances = self.host.inner.instances();
        let at = self.random.below(instances.len() as u64);
        let instance = instances.get(usize::try_from(at).unwrap())?;
        Some(instance.id.clone())
    }

    fn fall_ill(&mut self, role: Option<&InstanceId>) {
        let Some(role) = role else { return };
        let host = &self.host.inner;
        match self.random.below(12) {
            0..=2 => host.change_software(role, |software| software.hung = true),
            3..=5 => host.change_software(role, |software| software.deaf = true),
            6..=7 => host.break_software(role),
            8..=9 => host.break_hardware(role, false),
            _ => host.break_hardware(role, true),
        }
    }

    fn meddle_with(&mut self, any: Option<&InstanceId>) {
        let Some(any) = any else { return };
        let power = match self.random.below(4) {
            0 => None,
            1 => Some(Power::Reboot),
            2 => Some(Power::Stop),
            _ => Some(Power::Start),
        };
        self.host.inner.meddle(any, power);
    }

    fn ask(&mut self, drill: bool) {
        let asked = Request {
            at: self.clock(),
            since: self.clock(),
            reason: "a person wants it".into(),
            drill,
        };
        let _ = block_on(request(&self.tables, &asked));
    }

    fn add_by_hand(&mut self) {
        let mut software = Software::fresh();
        software.password = Password::Wanted;
        software.devices = devices();
        let instance = self.host.inner.add_instance(software);
        self.host.inner.place_address(Some(&instance));
    }

    /// At most one, and only of many: two at once are beyond what a second look can see.
    fn drop_an_image(&mut self) {
        let images = self.host.inner.images();
        if images.len() > 3 {
            self.host.inner.drop_image(&images[images.len() - 1].id);
        }
    }

    fn fail_an_image(&self) {
        if let Some(image) = self.host.inner.images().last() {
            self.host.inner.fail_image(&image.id);
        }
    }

    fn drift(&mut self, role: Option<&InstanceId>) {
        let Some(role) = role else { return };
        let kind = self.random.below(6);
        self.host.inner.change_software(role, |software| match kind {
            0 => software.password = Password::Other,
            1 => software.configuration.name = "changed by hand".into(),
            2 => software.clock_off = SignedDuration::from_mins(10),
            3 => software.configuration.platform_ports.enabled = false,
            _ => software.configuration.device_ports.straight = false,
        });
    }

    /// Who was told that the gateway rejects our password corrects it there, and writes the parameter again. So it is
    /// with a gateway fresh from its base image that a person made the gateway, when the check came to it before setup:
    /// nobody tries a password there any more.
    pub(crate) fn correct_the_password(&mut self) {
        let rejection = block_on(credentials::rejected(&self.host.truth)).unwrap();
        let role = self.host.role().map(|role| role.instance_id);
        let Some(role) = role.filter(|_| rejection.is_some()) else {
            return;
        };
        self.reach("people correct the password");
        self.host
            .inner
            .change_software(&role, |software| software.password = Password::Wanted);
        self.setup.password_version += 1;
        self.ladder.password_version += 1;
    }

    /// The weather calms, people let go, and mend what only they can.
    pub(crate) fn calm_down(&mut self) {
        self.stormy = false;
        self.no_video = false;
        self.clock_off = SignedDuration::ZERO;
        self.weather.set_trouble(0);
        let host = &self.host.inner;
        host.doom_launches(false);
        host.stick_images(false);
        host.refuse(false);
        host.block_address(false);
        for instance in host.instances() {
            host.change_software(&instance.id, |software| {
                if software.password == Password::Other {
                    software.password = Password::Wanted;
                }
            });
        }
        self.setup.password_version = 2;
        self.ladder.password_version = 2;
    }
}
