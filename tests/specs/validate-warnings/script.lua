print(reslut)
