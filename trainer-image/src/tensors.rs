//! Large tensors a piece at a time: a copy of a whole one is memory that a pod may not have.

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

/// Gives the bytes of the elements in row-major order, as they are in memory (little-endian), to `each`.
pub(crate) fn read<E: From<TchError>>(
    tensor: &Tensor,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let _guard = tch::no_grad_guard();
    let row = flat(tensor)?;
    for (start, length) in pieces(tensor.numel()) {
        let piece = row
            .f_narrow(0, start, length)?
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
    buffer: &mut Vec<u8>,
    mut next: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let _guard = tch::no_grad_guard();
    let mut values = tensor.f_detach()?;
    if !values.is_contiguous() {
        let other = Tensor::f_empty(values.size(), (values.kind(), values.device()))?;
        fill(&other, buffer, next)?;
        return Ok(values.f_copy_(&other)?);
    }
    let row = values.f_view([-1])?;
    for (start, length) in pieces(tensor.numel()) {
        buffer.resize(length as usize * tensor.kind().elt_size_in_bytes(), 0);
        next(buffer)?;
        let values = Tensor::f_from_data_size(buffer, &[length], tensor.kind())?;
        row.f_narrow(0, start, length)?.f_copy_(&values)?;
    }
    Ok(())
}

/// Whether no element is NaN or infinite.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool, TchError> {
    let _guard = tch::no_grad_guard();
    let row = flat(tensor)?;
    for (start, length) in pieces(tensor.numel()) {
        if row
            .f_narrow(0, start, length)?
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
        read(&tensor, &mut buffer, |piece| {
            bytes.extend_from_slice(piece);
            calls += 1;
            Ok::<_, TchError>(())
        })
        .unwrap();
        assert_eq!((calls, bytes.len()), (3, tensor.numel() * 4));
        let copy = tensor.zeros_like();
        let mut rest = bytes.as_slice();
        fill(&copy, &mut buffer, |piece| {
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
    fn one_value_that_is_not_finite_is_found_in_any_piece() {
        let tensor = Tensor::zeros([PIECE + 1], (Kind::Float, Device::Cpu));
        assert!(is_finite(&tensor).unwrap());
        let _ = tensor.narrow(0, PIECE, 1).fill_(f64::NAN);
        assert!(!is_finite(&tensor).unwrap());
    }
}
