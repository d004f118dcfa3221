/// The ports around one gateway, for the loops that treat and recover it.
#[derive(Debug)]
pub struct Site<'a, H, C, T, L> {
    /// Runs instances, keeps images, holds the public address.
    pub host: &'a H,
    /// Reaches gateways.
    pub connect: &'a C,
    /// Remembers.
    pub table: &'a T,
    /// Tells people.
    pub alerts: &'a L,
}

impl<H, C, T, L> Clone for Site<'_, H, C, T, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H, C, T, L> Copy for Site<'_, H, C, T, L> {}
