//! Rows by the position of their columns, which is the order in which SeaORM selects them.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, FromQueryResult, Iterable, ModelTrait, SelectGetableTuple,
    SelectModel, SelectTwoModel, SelectorTrait, TryGetableMany, TryIntoModel, prelude::Uuid, sea_query::ValueType,
};

use crate::{
    base::TenantId,
    store::{
        Stamp,
        kind::{Columns, Kind, column},
    },
};

/// A table whose rows can be read by position: every entity.
pub trait Table:
    EntityTrait<Model: Send + Sync + 'static, ActiveModel: TryIntoModel<<Self as EntityTrait>::Model> + Send> + 'static
{
}

impl<E> Table for E
where
    E: EntityTrait + 'static,
    E::Model: Send + Sync + 'static,
    E::ActiveModel: TryIntoModel<E::Model> + Send,
{
}

/// How the rows of a query are read: SeaORM's selectors.
pub trait Decode: SelectorTrait<Item: Send + 'static> {
    /// What the columns are, determined once per query.
    type Layout: Send + 'static;

    fn layout() -> Result<Self::Layout, DbErr>;

    fn decode(row: &impl Columns, layout: &Self::Layout) -> Result<Self::Item, DbErr>;
}

impl<M> Decode for SelectModel<M>
where
    M: ModelTrait + FromQueryResult,
    M::Entity: Table<Model = M>,
{
    type Layout = Kinds;

    fn layout() -> Result<Self::Layout, DbErr> {
        kinds::<M::Entity>()
    }

    fn decode(row: &impl Columns, layout: &Self::Layout) -> Result<M, DbErr> {
        model::<M::Entity>(row, layout, 0)
    }
}

impl<M, N> Decode for SelectTwoModel<M, Option<N>>
where
    M: ModelTrait + FromQueryResult,
    N: ModelTrait + FromQueryResult,
    M::Entity: Table<Model = M>,
    N::Entity: Table<Model = N>,
{
    type Layout = (Kinds, Kinds);

    fn layout() -> Result<Self::Layout, DbErr> {
        Ok((kinds::<M::Entity>()?, kinds::<N::Entity>()?))
    }

    fn decode(row: &impl Columns, (first, second): &Self::Layout) -> Result<Self::Item, DbErr> {
        Ok((model::<M::Entity>(row, first, 0)?, Some(joined::<N::Entity>(row, second, first.len())?)))
    }
}

impl<T: Tuple> Decode for SelectGetableTuple<T> {
    type Layout = ();

    fn layout() -> Result<(), DbErr> {
        Ok(())
    }

    fn decode(row: &impl Columns, _: &()) -> Result<T, DbErr> {
        T::read(row)
    }
}

/// The kinds of a table's columns.
pub(super) type Kinds = Arc<[Kind]>;

/// The kinds of a table's columns, determined once: SeaORM builds a definition for each column.
pub(super) fn kinds<E: EntityTrait + 'static>() -> Result<Kinds, DbErr> {
    static KNOWN: LazyLock<RwLock<HashMap<TypeId, Kinds>>> = LazyLock::new(RwLock::default);
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&TypeId::of::<E>()).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let kinds = E::Column::iter().map(|column| Kind::of_column(column.def().get_column_type()));
    let kinds: Kinds = kinds.collect::<Result<_, _>>()?;
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<E>(), Kinds::clone(&kinds));
    Ok(kinds)
}

/// The row of a table, whose columns begin at an index.
pub(super) fn model<E: Table>(row: &impl Columns, kinds: &[Kind], at: usize) -> Result<E::Model, DbErr> {
    let mut active = <E::ActiveModel as ActiveModelTrait>::default();
    for ((index, column), kind) in (at..).zip(E::Column::iter()).zip(kinds) {
        active.try_set(column, row.get(*kind, index)?)?;
    }
    active.try_into_model()
}

/// The row of a joined table; `None` if all its columns are NULL.
fn joined<E: Table>(row: &impl Columns, kinds: &[Kind], at: usize) -> Result<Option<E::Model>, DbErr> {
    for (index, kind) in (at..).zip(kinds) {
        if row.get(*kind, index)? != kind.null() {
            return model::<E>(row, kinds, at).map(Some);
        }
    }
    Ok(None)
}

/// One column, or several in the order in which they are selected.
pub trait Tuple: TryGetableMany + Send + 'static {
    fn read(row: &impl Columns) -> Result<Self, DbErr>;
}

macro_rules! columns {
    ($($type:ty),*) => {
        $(impl Tuple for $type {
            fn read(row: &impl Columns) -> Result<Self, DbErr> {
                column(row, 0)
            }
        })*
    };
}

columns!(String, Uuid, i64, Option<i64>, Option<Uuid>, TenantId, Option<TenantId>, Stamp);

macro_rules! tuples {
    ($(($($type:ident $index:tt),*)),*) => {
        $(impl<$($type),*> Tuple for ($($type,)*)
        where
            Self: TryGetableMany,
            $($type: ValueType + Send + 'static),*
        {
            fn read(row: &impl Columns) -> Result<Self, DbErr> {
                Ok(($(column::<$type>(row, $index)?,)*))
            }
        })*
    };
}

tuples!((A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3));
