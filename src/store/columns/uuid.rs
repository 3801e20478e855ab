//! Types that are stored as UUIDs.

/// Makes a type a column of UUIDs; `$from` and `$to` convert it.
macro_rules! uuid_column {
    ($type:ty, $from:expr, $to:expr) => {
        impl From<$type> for sea_orm::Value {
            fn from(value: $type) -> Self {
                ($to)(value).into()
            }
        }

        impl sea_orm::TryGetable for $type {
            fn try_get_by<I: sea_orm::ColIdx>(
                row: &sea_orm::QueryResult,
                index: I,
            ) -> Result<Self, sea_orm::TryGetError> {
                uuid::Uuid::try_get_by(row, index).map($from)
            }
        }

        impl sea_orm::sea_query::ValueType for $type {
            fn try_from(value: sea_orm::Value) -> Result<Self, sea_orm::sea_query::ValueTypeErr> {
                <uuid::Uuid as sea_orm::sea_query::ValueType>::try_from(value).map($from)
            }

            fn type_name() -> String {
                stringify!($type).to_owned()
            }

            fn array_type() -> sea_orm::sea_query::ArrayType {
                <uuid::Uuid as sea_orm::sea_query::ValueType>::array_type()
            }

            fn column_type() -> sea_orm::sea_query::ColumnType {
                <uuid::Uuid as sea_orm::sea_query::ValueType>::column_type()
            }
        }

        impl sea_orm::sea_query::Nullable for $type {
            fn null() -> sea_orm::Value {
                <uuid::Uuid as sea_orm::sea_query::Nullable>::null()
            }
        }

        /// Required of primary keys; the database generates none.
        impl sea_orm::TryFromU64 for $type {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($type)))
            }
        }
    };
}

pub(super) use uuid_column;
