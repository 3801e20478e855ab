//! `InvoiceService`: invoices of tenants.

use prost_types::Timestamp;

use crate::{
    api::{Deps, handlers::manager::v1::invoice_service::InvoiceService, timestamp},
    base::{Cx, Result},
    manager::invoices::{self, Invoice},
    proto::manager::v1::{GetInvoiceRequest, GetInvoiceResponse, Invoice as InvoiceMessage, UsageLine},
};

pub struct Invoices {
    pub(super) deps: Deps,
}

impl InvoiceService for Invoices {
    async fn get_invoice(&self, cx: &Cx, message: GetInvoiceRequest) -> Result<GetInvoiceResponse> {
        let settings = &self.deps.settings.billing;
        let invoice = invoices::get(cx, &self.deps.store, settings, cx.tenant()?, &message.month).await?;
        Ok(GetInvoiceResponse { invoice: Some(to_proto(invoice)) })
    }
}

fn to_proto(invoice: Invoice) -> InvoiceMessage {
    let tenant = invoice.tenant.manager();
    let lines = invoice.hours.into_iter().map(|hour| UsageLine {
        ts: Some(Timestamp { seconds: hour.at, nanos: 0 }),
        tenant_id: tenant.clone(),
        cpu_milli: hour.cpu_milli,
        mem_mib: hour.mem_mib,
    });
    InvoiceMessage {
        lines: lines.collect(),
        tenant_id: tenant.clone(),
        start: Some(timestamp(invoice.month.start())),
        end: Some(timestamp(invoice.month.next().start())),
        subtotal: invoice.amounts.subtotal,
        discount: invoice.amounts.discount,
        total: invoice.amounts.total,
        closed: invoice.closed,
    }
}
