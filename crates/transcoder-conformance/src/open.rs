//! A guard that admits everybody.

use std::{future::Future, pin::Pin};

use tonic::Status;
use transcoder::{Claim, Guard, MethodInfo};

/// Admits every caller to every method.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Guard for Open {
    fn admit(&self, _: &'static MethodInfo, _: &mut http::Extensions) -> Result<(), Status> {
        Ok(())
    }

    fn enter<'a>(
        &'a self,
        _: &'static MethodInfo,
        _: Claim<'a>,
        _: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
