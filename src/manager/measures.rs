//! Metrics of the manager surface, under the names of its document.

/// Counts what a caller created.
pub(super) fn created(kind: &'static str) {
    metrics::counter!("kubeop_business_created_total", "kind" => kind).increment(1);
}

/// Counts the lines of invoices that were read.
pub(super) fn invoice_lines(lines: usize) {
    metrics::counter!("kubeop_billing_invoice_lines_total").increment(lines as u64);
}
