//! Large tensors a piece at a time: a copy of a whole one is memory that a pod may not have.

use protocol::architecture::Dtype;
use tch::{Device, Kind, TchError, Tensor};

/// Elements handled at once.
const PIECE: i64 = 4 << 20;

/// First element and number of elements of every piece.
fn pieces(elements: usize) -> impl Iterator<Item = (i64, i64)> {
    let elements = elements as i64;
    (0..elements)
        .step_by(PIECE as usize)
        .map(move |start| (start, PIECE.min(elements - start)))
}

/// The tensor as one row, sharing its memory where it is contiguous.
fn flat(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_detach()?.f_reshape([-1])
}

/// Tensors of one shape, side by side in pieces that share their memory: what is computed element by element has
/// temporaries as large as a piece then, and not as large as the largest tensor. Small ones come whole, and so do those that
/// do not lie in memory in the order of their elements (a gradient can be the transpose of another tensor).
pub(crate) fn rows<const N: usize>(all: [&Tensor; N]) -> Result<Vec<[Tensor; N]>, TchError> {
    let elements = all.first().map_or(0, |tensor| tensor.numel());
    if elements as i64 <= PIECE || !all.iter().all(|tensor| tensor.is_contiguous()) {
        return Ok(vec![all.map(Tensor::shallow_clone)]);
    }
    pieces(elements)
        .map(|(start, length)| {
            let mut row = Vec::with_capacity(N);
            for tensor in all {
                row.push(tensor.f_detach()?.f_view([-1])?.f_narrow(0, start, length)?);
            }
            <[Tensor; N]>::try_from(row).map_err(|_| TchError::Kind("another number of tensors".into()))
        })
        .collect()
}

/// How a file's elements are known here.
pub(crate) fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::Bf16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
    }
}

/// Gives the bytes of the elements in row-major order, little-endian, to `each`; as elements of `kind`, rounded to nearest
/// where that has fewer bits.
pub(crate) fn read<E: From<TchError>>(
    tensor: &Tensor,
    kind: Kind,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let _guard = tch::no_grad_guard();
    let row = flat(tensor)?;
    for (start, length) in pieces(tensor.numel()) {
        let piece = row
            .f_narrow(0, start, length)?
            .f_to_kind(kind)?
            .f_to_device(Device::Cpu)?
            .f_view_dtype(Kind::Uint8)?;
        let bytes = piece.numel();
        buffer.resize(bytes, 0);
        piece.f_copy_data(buffer, bytes)?;
        each(buffer)?;
    }
    Ok(())
}

/// Fills a tensor with what `next` puts into the buffers it is given, as [`read`] gives it.
pub(crate) fn fill<E: From<TchError>>(
    tensor: &Tensor,
    kind: Kind,
    buffer: &mut Vec<u8>,
    mut next: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let _guard = tch::no_grad_guard();
    let mut values = tensor.f_detach()?;
    if !values.is_contiguous() {
        let other = Tensor::f_empty(values.size(), (values.kind(), values.device()))?;
        fill(&other, kind, buffer, next)?;
        return Ok(values.f_copy_(&other)?);
    }
    let row = values.f_view([-1])?;
    for (start, length) in pieces(tensor.numel()) {
        buffer.resize(length as usize * kind.elt_size_in_bytes(), 0);
        next(buffer)?;
        let values = Tensor::f_from_data_size(buffer, &[length], kind)?;
        row.f_narrow(0, start, length)?.f_copy_(&values)?;
    }
    Ok(())
}

/// Whether no element is NaN or infinite, also as one of `kind`.
pub(crate) fn is_finite(tensor: &Tensor, kind: Kind) -> Result<bool, TchError> {
    let _guard = tch::no_grad_guard();
    let row = flat(tensor)?;
    for (start, length) in pieces(tensor.numel()) {
        if row
            .f_narrow(0, start, length)?
            .f_to_kind(kind)?
            .f_isfinite()?
            .f_all()?
            .f_int64_value(&[])?
            == 0
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of all elements.
pub(crate) fn size<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> u64 {
    tensors
        .into_iter()
        .map(|tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_pieces_fills_another_tensor_with_the_same() {
        let tensor = Tensor::arange(2 * PIECE + 6, (Kind::Float, Device::Cpu)).reshape([2, -1]);
        let (mut buffer, mut bytes, mut calls) = (Vec::new(), Vec::new(), 0);
        read(&tensor, Kind::Float, &mut buffer, |piece| {
            bytes.extend_from_slice(piece);
            calls += 1;
            Ok::<_, TchError>(())
        })
        .unwrap();
        assert_eq!((calls, bytes.len()), (3, tensor.numel() * 4));
        let copy = tensor.zeros_like();
        let mut rest = bytes.as_slice();
        fill(&copy, Kind::Float, &mut buffer, |piece| {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from_slice(now);
            rest = later;
            Ok::<_, TchError>(())
        })
        .unwrap();
        assert_eq!(copy, tensor);
        assert_eq!(size(&[tensor]), bytes.len() as u64);
    }

    #[test]
    fn rows_share_memory_and_hold_every_element_once() {
        let (a, b) = (
            Tensor::zeros([2, PIECE / 2 + 1], (Kind::Float, Device::Cpu)),
            Tensor::ones([2, PIECE / 2 + 1], (Kind::Float, Device::Cpu)),
        );
        let rows = rows([&a, &b]).unwrap();
        assert_eq!(rows.len(), 2);
        for [mut a, b] in rows {
            let _ = a.g_add_(&b);
        }
        assert_eq!(a.sum(Kind::Double).double_value(&[]), (PIECE + 2) as f64);
    }

    #[test]
    fn rows_of_a_transposed_tensor_pair_the_same_elements() {
        let straight = Tensor::arange(2 * PIECE, (Kind::Float, Device::Cpu)).reshape([2, PIECE]);
        let sum = straight.zeros_like();
        let transposed = straight.tr().contiguous().tr();
        for [mut sum, part] in rows([&sum, &transposed]).unwrap() {
            let _ = sum.g_add_(&part);
        }
        assert!(sum.equal(&straight));
    }

    #[test]
    fn one_value_that_is_not_finite_is_found_in_any_piece() {
        let tensor = Tensor::zeros([PIECE + 1], (Kind::Float, Device::Cpu));
        assert!(is_finite(&tensor, Kind::Float).unwrap());
        let _ = tensor.narrow(0, PIECE, 1).fill_(70_000.0);
        assert!(is_finite(&tensor, Kind::BFloat16).unwrap());
        assert!(!is_finite(&tensor, Kind::Half).unwrap());
        let _ = tensor.narrow(0, PIECE, 1).fill_(f64::NAN);
        assert!(!is_finite(&tensor, Kind::Float).unwrap());
    }
}
