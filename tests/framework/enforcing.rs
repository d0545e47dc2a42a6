//! Results that do not match their plan: `enforce_plan` makes every result acceptable to Terraform Core.

use azimage::framework::enforce_plan::enforce_plan;
use azimage::schema::{Body, Nesting, Type, Value};

use crate::core::oracle::object_complaints;
use crate::core::{Core, serve};

/// Random values, small enough that two of them are often partly equal.
struct Random(fastrand::Rng);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.u32(..bound)
    }

    /// A value of type `ty`; sometimes unknown if `open`.
    fn value(&mut self, ty: &Type, open: bool) -> Value {
        match self.below(8) {
            0 => return Value::Null,
            1 | 2 if open => return Value::Unknown,
            _ => {}
        }
        match ty {
            Type::Bool => Value::Bool(self.below(2) == 0),
            Type::Number => Value::int(self.below(2).into()),
            Type::String => ["a", "b"][self.below(2) as usize].into(),
            Type::List(element) => Value::List(self.many(element, open)),
            Type::Set(element) => Value::Set(self.many(element, open)),
            Type::Map(element) => {
                let elements = self.many(element, open).into_iter();
                Value::Map(["x", "y", "z"].map(str::to_owned).into_iter().zip(elements).collect())
            }
            Type::Object(types) => {
                Value::object(types.iter().map(|(name, ty)| (name.clone(), self.value(ty, open))))
            }
            Type::Dynamic | Type::Tuple(_) => Value::Null,
        }
    }

    fn many(&mut self, element: &Type, open: bool) -> Vec<Value> {
        let mut elements: Vec<Value> = Vec::new();
        for _ in 0..self.below(4) {
            let value = self.value(element, open);
            if !elements.contains(&value) {
                elements.push(value);
            }
        }
        elements
    }

    /// An object of `body` that Terraform Core could send: collections of blocks and their elements are not null.
    fn object(&mut self, body: &Body, open: bool) -> Value {
        let attributes: Vec<_> = body.attributes.iter().map(|a| (a.name, self.value(&a.ty, open))).collect();
        let blocks: Vec<_> = body
            .blocks
            .iter()
            .map(|block| {
                let unknown = open && self.below(8) == 0;
                let elements: Vec<Value> =
                    (0..self.below(3)).map(|_| self.object(&block.body, open)).collect();
                let value = match block.nesting {
                    _ if unknown => Value::Unknown,
                    Nesting::Single => elements.into_iter().next().unwrap_or(Value::Null),
                    Nesting::Group => self.object(&block.body, open),
                    Nesting::List => Value::List(elements),
                    Nesting::Set => {
                        let mut unique: Vec<Value> = Vec::new();
                        elements.into_iter().for_each(|element| {
                            if !unique.contains(&element) {
                                unique.push(element);
                            }
                        });
                        Value::Set(unique)
                    }
                };
                (block.name, value)
            })
            .collect();
        Value::object(attributes.into_iter().chain(blocks))
    }
}

#[tokio::test]
async fn core_accepts_every_enforced_result() {
    let core = Core::new().await;
    let (server, _) = serve();
    let mut random = Random(fastrand::Rng::with_seed(14));
    for (name, entry) in server.resources() {
        let (mut same, mut other) = (0, 0);
        for _ in 0..300 {
            let planned = random.object(entry.body(), true);
            let actual = random.object(entry.body(), false);
            // half of the results are based on the plan, so that some do not differ from it
            let actual = if random.below(2) == 0 { planned.clone().unknown_to_null() } else { actual };
            let (state, differing) = enforce_plan(entry.body(), &planned, actual.clone());
            let complaints = object_complaints(core.block(name), &planned, &state);
            assert_eq!(complaints, [], "{name}\nplanned: {planned:#?}\nactual: {actual:#?}");
            assert!(state.is_wholly_known(), "{name}: {state:#?}");
            if differing.is_empty() {
                same += 1;
            } else {
                other += 1;
            }
            let refused = !object_complaints(core.block(name), &planned, &actual).is_empty();
            assert!(!refused || !differing.is_empty(), "{name}: no warning\n{planned:#?}\n{actual:#?}");
        }
        assert!(same > 20 && other > 20, "{name}: {same} equal their plan, {other} differ");
    }
}
