//! The plan of the stream, which was announced: a run carries out this one, or none.

use chaos_common::config::Limits;
use chaos_common::record::{Check, Plan, Record, Time, Verdict};

use crate::plan::digest;

/// `gate.plan`: what would be done now is what was announced, and that a short while ago.
pub fn judge(announced: &Record<Plan>, now: &Plan, limits: &Limits, time: Time) -> Check {
    const ID: &str = "gate.plan";
    let again = "plan anew, and tell people of the new plan";
    if announced.verdict != Some(Verdict::Pass) {
        let summary = &announced.summary;
        return Check::fail(
            ID,
            "",
            format!("the plan of the stream may not run: {summary}"),
        );
    }
    let (age, most) = (
        time.since_ms(announced.time),
        limits.gate_max_age.0.as_millis(),
    );
    if u128::try_from(age).is_ok_and(|age| age > most) {
        let (age, most) = (age / 1000, most / 1000);
        let message = format!("the plan is {age} s old; it may be {most} s");
        return Check::fail(ID, "", message).hint(again);
    }
    // What the record says of itself proves nothing: it is digested anew.
    if digest::of(&announced.data) != digest::of(now) {
        let difference = digest::difference(&announced.data, now);
        let message = format!("the plan of the stream can't be carried out: {difference}");
        return Check::fail(ID, "", message).hint(again);
    }
    let age = age.max(0) / 1000;
    Check::pass(ID, "", format!("as planned {age} s ago"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::objects::{plan, scale_to_zero};

    fn announced(verdict: Verdict, seconds: i64) -> Record<Plan> {
        let time = Time(Time::now().0 + jiff::SignedDuration::from_secs(seconds));
        Record {
            schema: "chaos.plan/1".into(),
            id: "1".into(),
            run: "r".into(),
            time,
            tool: "t".into(),
            verdict: Some(verdict),
            summary: "s".into(),
            data: plan(&[scale_to_zero("shop", 3)], &["shop"]),
        }
    }

    fn judged(announced: &Record<Plan>) -> Check {
        let now = plan(&[scale_to_zero("shop", 3)], &["shop"]);
        judge(announced, &now, &Limits::default(), Time::now())
    }

    #[test]
    fn only_a_fresh_plan_that_passed_and_still_fits_is_carried_out() {
        let check = judged(&announced(Verdict::Pass, -60));
        assert_eq!(check.message, "as planned 60 s ago");
        assert!(!check.is_bad());
        for verdict in [Verdict::Fail, Verdict::Unknown] {
            assert!(judged(&announced(verdict, -60)).is_bad());
        }
        let stale = judged(&announced(Verdict::Pass, -901));
        assert_eq!(stale.message, "the plan is 901 s old; it may be 900 s");
        let mut moved = announced(Verdict::Pass, -60);
        moved.data.changes = vec![scale_to_zero("shop", 4)];
        assert_eq!(
            judged(&moved).message,
            "the plan of the stream can't be carried out: what is changed has changed itself"
        );
    }
}
